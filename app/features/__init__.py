"""PRODUCTS: one folder each, independent. A feature builds calls and shapes answers, no more."""
