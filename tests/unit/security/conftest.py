"""What the tests of redaction share."""

from collections.abc import Iterator

import pytest

from app.security.redaction import redactor

OF_THE_LIMIT = "test_redaction_limits"


@pytest.fixture(autouse=True, scope="module")
def patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a text take seconds where the test is not of the limit.

    A search for garbage in the process of all tests, which is counted as its time, takes longer than the limit of a service.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not request.module.__name__.endswith(OF_THE_LIMIT):
            patch.setattr(redactor, "PATIENCE", 5.0)
        yield
