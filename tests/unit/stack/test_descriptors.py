"""Open descriptors: a process takes as many as it may have, and says before they run out."""

import resource
from collections.abc import Iterator

import pytest

from app.domain.errors import Misconfigured
from app.stack.descriptors import Descriptors, raise_limit


@pytest.fixture
def hard() -> Iterator[int]:
    """The hard limit of this process, whose soft one is lower during the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard - 1), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_raises_its_limit_to_what_the_system_allows(hard: int) -> None:
    assert raise_limit() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert raise_limit() == hard


def test_descriptors_that_run_out_are_logged_before_and_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    few = Descriptors(100)
    few.note(89)
    assert caplog.records == []
    for number in (90, 99, 95):
        few.note(number)
    (line,) = caplog.records
    assert "few descriptors are left" in line.message
    assert (line.newest, line.limit) == (90, 100)  # type: ignore[attr-defined]


def test_a_limit_that_no_worker_lives_with_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (24, 24))
    with pytest.raises(Misconfigured, match="may open 24 files, and needs 128 at least"):
        raise_limit()
