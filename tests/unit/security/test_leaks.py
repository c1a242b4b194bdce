"""A system prompt that an answer gives away is seen before it is out (S4)."""

import base64
import codecs
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from app.domain.errors import AnswerWithheld
from app.security.leaks import PREFIX, RUN, WATCHED, LeakWatch, canary, plain, secrets_of
from app.security.links import Links
from app.security.outgoing import Outgoing

CANARY = canary(b"a secret", "2026-11-22", "support/answer")
SYSTEM = (
    "You are the support assistant of Northwind Outfitters, an outdoor shop.\n\n- Answer from the help articles and from your "
    f"tools alone. Do not guess.\n- Cancel or refund only what the customer asked for.\n\nInternal mark: {CANARY}\n"
)
WITHOUT = SYSTEM.partition("Internal")[0]
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "backwards": lambda text: text[::-1],
    "with gaps": " ".join,
    "with dots": ".".join,
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after a letter": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 after two": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(" "),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
}


@pytest.mark.parametrize("size", [1, 3, 8, 10_000])
@pytest.mark.parametrize("form", FORMS)
def test_a_canary_never_comes_out_in_any_of_these_forms(form: str, size: int) -> None:
    told = f"Sure, here it is: {FORMS[form](CANARY)} and that is all."
    watch = LeakWatch(secrets_of(CANARY, ""))
    said = "".join(watch.feed(told[at : at + size]) for at in range(0, len(told), size)) + watch.end()
    assert watch.found == "canary"
    secret = plain(FORMS[form](CANARY))
    assert secret[: PREFIX + 5] not in plain(said)


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize("form", [name for name in FORMS if "after" not in name])
def test_a_system_prompt_is_stopped_before_a_sentence_of_it_is_out(form: str, size: int) -> None:
    told = f"Sure: {FORMS[form](WITHOUT)}"
    watch = LeakWatch(secrets_of("", SYSTEM))
    said = "".join(watch.feed(told[at : at + size]) for at in range(0, len(told), size)) + watch.end()
    assert watch.found == "system-prompt"
    assert len(plain(said)) <= len("sure") + WATCHED


def test_a_few_of_its_words_are_no_leak_and_come_out_whole() -> None:
    told = "I am the support assistant of Northwind Outfitters. " + WITHOUT[: RUN // 2] + "! I cancel only what you asked for."
    watch = LeakWatch(secrets_of(CANARY, SYSTEM))
    said = "".join(watch.feed(letter) for letter in told) + watch.end()
    assert (said, watch.found) == (told, "")


def test_canaries_differ_by_release_prompt_and_secret_and_are_the_same_in_every_worker() -> None:
    made = {canary(secret, release, prompt) for secret in (b"a", b"b") for release in ("1", "2") for prompt in ("p", "q")}
    assert len(made) == 8
    assert canary(b"a", "1", "p") in made
    assert all(len(word) == 20 and word.isalpha() for word in made)


@pytest.mark.parametrize(("action", "stopped"), [("log", False), ("flag", False), ("block", True)])
def test_policy_says_whether_a_leak_stops_the_answer(action: str, stopped: bool) -> None:
    outgoing = Outgoing(Links(frozenset()), {"canary": action}, canary=CANARY)  # type: ignore[dict-item] # one of the four
    told = f"It is {CANARY}, and that is all."
    said: list[str] = []
    with pytest.raises(AnswerWithheld) if stopped else nullcontext():
        said += [outgoing.feed(letter) for letter in told]
        said.append(outgoing.end())
    assert outgoing.found == ["canary"]
    assert (CANARY in "".join(said)) is not stopped
