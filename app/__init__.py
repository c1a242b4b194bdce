"""Octant: a reference production LLM service. `main.create_app` is the service, `cli` the operator's commands."""

__version__ = "0.1.0"
