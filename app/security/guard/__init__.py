"""What may be said and done: screens on the way in, checks of what leaves, last."""
