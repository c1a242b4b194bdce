"""Paging: the tables of pages and of their events."""
