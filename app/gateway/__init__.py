"""THE PIPELINE OF EVERY MODEL CALL: all that decides, orders or bounds a call; start with `gateway.py`."""
