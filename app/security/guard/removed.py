"""The mark in a text where something was taken out."""

LINK_REMOVED, IMAGE_REMOVED, TEXT_REMOVED = "(link removed)", "(image removed)", "(text removed)"
