"""AXIS 2, what is kept: the durable, redacted record of every call, and its search."""
