"""Measures the cost of a request in the service, as a ratio to a bare forward in the same run."""
