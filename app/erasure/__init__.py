"""Erases or exports one user's data over all rooms. Reads each room's declaration of its tables, knows none of them."""
