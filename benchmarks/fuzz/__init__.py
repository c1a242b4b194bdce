"""`make fuzz`: requests that nobody would send, made from valid ones, against a real service on loopback (S8)."""
