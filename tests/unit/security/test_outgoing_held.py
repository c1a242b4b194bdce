"""What an answer's checks hold back counts for where they run: a small chunk may be the one that has all of it checked."""

from app.domain.calls import TextDelta, ThinkingDelta
from app.security.guard.links import Links
from app.security.guard.outgoing import Outgoing


def test_reasoning_and_text_that_wait_are_counted_and_let_go() -> None:
    outgoing = Outgoing(Links(frozenset()), {"foreign-link": "block"})
    for _ in range(3):
        assert list(outgoing.chunk(ThinkingDelta(0, "thinking "))) == []
    assert outgoing.held == len("thinking " * 3)
    passed = list(outgoing.chunk(TextDelta(1, "word")))
    assert [chunk.text for chunk in passed if isinstance(chunk, ThinkingDelta)] == ["thinking "] * 3
    assert outgoing.held == len("word")
