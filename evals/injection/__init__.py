"""Third-party attacks on the running service and on the screens (S2).

The service's model complies with all of them.
"""
