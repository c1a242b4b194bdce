"""Checks of dependencies and of the repository: advisories, licences, bill of materials, secrets (S9)."""
