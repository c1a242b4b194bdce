"""Limits on input and output: screens on the way in, checks as the last step before output leaves."""
