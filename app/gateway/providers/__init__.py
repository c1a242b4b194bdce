"""The wires to model vendors, one adapter each behind the `Provider` port."""
