"""Prometheus' rules, made from `deploy/slo/*.toml`: objectives, burn-rate alerts, and alerts on every axis (O6).

This package reads those files, makes rules of them, and checks every expression against the metrics' catalogue.
"""
