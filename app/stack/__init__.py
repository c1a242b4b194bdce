"""The embedded default: everything the service needs, from Python wheels, as child processes. Not part of the service."""
