"""`make fuzz`: malformed requests, made from valid ones, against a real service on loopback (S8)."""
