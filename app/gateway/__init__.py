"""THE ONE DOOR TO MODELS. Whatever decides, orders or bounds a call to a model lives here; `gateway.py` is its one screen."""
