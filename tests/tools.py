"""Programs that tests use and Python's packages do not have."""

import shutil

import pytest


def tool(*names: str) -> str:
    """The first of these programs that is installed.

    Fails the test if none is. Distributions name some differently.
    """
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.fail(f"{' or '.join(names)} is not installed: run `make tools`")
    return found
