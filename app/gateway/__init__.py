"""THE ONE WAY TO MODELS: everything that decides, orders or bounds a call; start with `gateway.py`."""
