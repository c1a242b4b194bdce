"""Prometheus' rules, made from `deploy/slo/*.toml`: objectives, burn-rate alerts, and alerts on every axis (O6).

What may live here: reading those files, making rules of them, and holding every expression against the metrics' catalogue.
"""
