"""Grafana's dashboards, built from code: `make generate` writes `deploy/grafana/*.json` (O3).

This package decides which panels there are, their order, and what to do when one looks bad. Metrics are named by their attribute
in `app/telemetry/catalogue.py`, so a renamed or removed one breaks the build and not a picture at 3 a.m.
"""
