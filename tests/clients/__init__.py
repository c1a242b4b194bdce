"""Unmodified clients against a running service: `make clients`.

`table.toml` names the clients and their versions, `drivers/` runs them, `model.py` is the provider behind the service, whose
answers the drivers script. `results.json` holds the outcome of the last whole run, and docs/clients.md is made from it.
"""
