"""PRODUCTS: one folder each; they do not know each other. A feature builds calls and shapes answers, no more."""
