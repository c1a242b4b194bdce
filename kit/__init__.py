"""The fork kit: makes a service of one's own of this tree, and products within it (ADR 50).

`make fork NAME=meridian` once, in a fresh clone; `make feature NAME=clauses` for each product.
"""
