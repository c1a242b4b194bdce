"""AXIS 7: what is live: immutable manifests that pin everything a call depends on, and the pointer that moves between them."""
