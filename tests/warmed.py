"""What a service computes once: done where the fork server imports this, for all that are forked from it."""

from app.security.redaction.automata import compiled_table
from app.security.redaction.identity_numbers import load_registers

load_registers()
compiled_table()
