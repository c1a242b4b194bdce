"""Measuring: what a request costs in the service, compared by ratio with a bare forward in the same run."""
