"""AXIS 7: releases: immutable manifests that pin everything a call depends on, and a pointer to the live one."""
