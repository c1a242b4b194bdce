"""The release that a rollback activates (B2)."""

from datetime import UTC, datetime

import pytest

from app.domain.errors import Misconfigured
from app.releases.history import Activation, live_before, path_of


def history(*steps: str) -> list[Activation]:
    """Return the history of some steps, newest first as in Postgres.

    The steps are given oldest first: ``+a`` activates a, ``-a`` rolls back to it, ``~a`` makes it from
    the live one with one pin set back.
    """
    at = datetime(2026, 11, 1, tzinfo=UTC)
    actions = {"+": "activate", "-": "rollback", "~": "set back"}
    made = [Activation(n, step[1:], None, actions[step[0]], "ada", "why", at) for n, step in enumerate(steps)]
    return made[::-1]


@pytest.mark.parametrize(
    ("steps", "target"),
    [
        (["+a", "+b"], "a"),
        (["+a", "+b", "+c", "-b"], "a"),
        (["+a", "+b", "+c", "-b", "+d"], "b"),
        (["+a", "+b", "-a", "+b"], "a"),
        (["+a", "+b", "+b"], "a"),
        (["+a", "+b", "+a"], "b"),
        (["+a", "+b", "-a", "-b"], "a"),
        (["+a", "+b", "+c", "+d", "-b"], "a"),
        (["+a", "+b", "~c"], "a"),
        (["+a", "+b", "~c", "-a", "+b"], "a"),
    ],
    ids=[
        "to the one before",
        "twice goes back twice",
        "after a new one, to where it left off",
        "after trying again",
        "activating twice is activating once",
        "an old release activated anew came after the other",
        "to a release that was rolled back from, named",
        "past several, named, and then further back",
        "with one pin set back, to the one before the bad one",
        "from there, and forward again",
    ],
)
def test_a_rollback_goes_to_what_was_live_before_and_never_forth(steps: list[str], target: str) -> None:
    assert path_of(history(*steps))[-2] == target


@pytest.mark.parametrize("steps", [[], ["+a"], ["+a", "+b", "-a"], ["+a", "+b", "+c", "-a"], ["+a", "~b"]])
def test_where_nothing_was_live_before_it_says_so(steps: list[str]) -> None:
    with pytest.raises(Misconfigured, match="no earlier release"):
        path_of(history(*steps))


@pytest.mark.parametrize(
    ("steps", "before"), [(["+a", "+b"], "a"), (["+a", "+b", "+b"], "a"), (["+a", "+b", "-a"], "b"), (["+a"], None)]
)
def test_the_live_release_took_the_place_of_the_newest_other_one(steps: list[str], before: str | None) -> None:
    """After a rollback too: it shows what going back has changed."""
    assert live_before(history(*steps)) == before
