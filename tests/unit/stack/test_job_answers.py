"""The state of a job after each kind of answer."""

import pytest

from app.domain.errors import DependencyUnavailable, OctantError, ShuttingDown, Stopped
from app.edge.errors import render
from app.stack.perform import Answer


@pytest.mark.parametrize(
    ("error", "stopped"), [(Stopped("s"), True), (ShuttingDown("s"), False), (DependencyUnavailable("d"), False)]
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_what_an_operator_stopped_waits_for_the_release_however_often_it_is_tried(
    error: OctantError, stopped: bool, dialect: str
) -> None:
    answer = Answer(*render(error, dialect, "job_1"))  # type: ignore[arg-type]
    assert answer.again is not None
    assert answer.stopped is stopped
