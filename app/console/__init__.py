"""The operators' pages at `/console` (X1, X2): read from the other rooms, written as HTML on the server.

A page works without scripts: forms and links carry all state in the address. Scripts add live figures, charts and keys.
"""
