"""From a candidate to a case file, ready for review: what was asked goes in, whoever asked and what is personal does not.

Without an expectation the case is a draft, and `evals check` refuses it until a person has said what a good answer is: what the
product answered in production is what somebody doubted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from evals.cases import FOLDER, AnswerCase, Case, FailureMode, InvalidSuite, TicketCase, load_cases
from evals.online.candidates import digest_of
from evals.online.recorded import TOKEN
from evals.privacy import personal
from evals.suite import DRAFT

# What stands in for what redaction took out: values that are nobody's (`evals.privacy.MADE_UP`). Other kinds a person words anew.
STAND_INS = {
    "email": "ada.l@example.com",
    "phone": "555-0187",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
}
LONGEST_SEEN = 240  # characters of an answer in a case's origin
HEAD = "# yaml-language-server: $schema=../../case.schema.json\n"
_CASE: TypeAdapter[Case] = TypeAdapter(Annotated[AnswerCase | TicketCase, Field(discriminator="endpoint")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a reviewer says of the case. ``expect`` as in a case file, may be empty; ``question`` replaces what was asked."""

    mode: FailureMode
    id: str
    user: str = "ada"
    question: str = ""
    criteria: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)


def promoted(candidate: Mapping[str, Any], wish: Wish, today: date, folder: Path = FOLDER) -> tuple[Path, str]:
    """The file that the case belongs to, and the file's new content. Nothing is written.

    Raises InvalidSuite: a question or id that is there already, personal data, a case out of form, a suite that is broken before.
    """
    written = _case(candidate, wish, today)
    try:
        case = _CASE.validate_python(written)
    except ValidationError as error:
        raise InvalidSuite(f"the case is out of form: {error}") from error
    _refuse_duplicates(case, load_cases(folder))
    _refuse_personal(written)
    name = written["endpoint"].rpartition("/")[2]
    path = folder / wish.mode / f"{name}.yaml"
    before = path.read_text(encoding="utf-8") if path.exists() else HEAD
    block = yaml.safe_dump([written], sort_keys=False, allow_unicode=True, width=126)
    gap = "" if before == HEAD else "\n"
    return path, f"{before.rstrip()}\n{gap}{block}"


def _case(candidate: Mapping[str, Any], wish: Wish, today: date) -> dict[str, Any]:
    asked = dict(candidate["asked"])
    given: dict[str, Any] = {}
    if asked["endpoint"] == "support/answer":
        given["question"] = wish.question or _restored(asked["question"])
        if asked.get("conversation"):
            given["conversation"] = [{"role": t["role"], "text": _restored(t["text"])} for t in asked["conversation"]]
    else:
        given["text"] = wish.question or _restored(asked["text"])
    return {
        "id": wish.id,
        "failure_mode": wish.mode,
        "endpoint": asked["endpoint"],
        "input": {**given, "user": wish.user},
        "expect": dict(wish.expect),
        "criteria": wish.criteria or f"{DRAFT}: say what passes, what fails, and what must be expected above.",
        "origin": _origin(candidate),
        "added": today,
    }


def _origin(candidate: Mapping[str, Any]) -> str:
    """Where it comes from and what was seen, in one line, without a name, a request or a token."""
    seen, at = candidate["seen"], candidate["at"].astimezone(UTC)
    told = f"production, release {candidate['release']}, {at:%Y-%m-%d}: {', '.join(candidate['reasons'])}"
    answer = seen.get("answer") or seen.get("summary")
    wrong = "; ".join(f"{one['scorer']}: {one['words']}" for one in seen.get("findings", ()))
    told += f"; seen: {answer[:LONGEST_SEEN]}" if answer else ""
    return TOKEN.sub(r"(\1)", " ".join((told + (f" ({wrong})" if wrong else "")).split()))


def _restored(text: str) -> str:
    """Made-up values in place of tokens. Raises InvalidSuite for a kind that has none."""
    if missing := sorted({found[1] for found in TOKEN.finditer(text)} - set(STAND_INS)):
        raise InvalidSuite(f"the question holds {', '.join(missing)}, taken out by redaction: word it anew with --question")
    return TOKEN.sub(lambda found: STAND_INS[found[1]], text)


def _refuse_duplicates(written: Case, cases: Sequence[Case]) -> None:
    """Raises InvalidSuite. What is worded anew is another question; that a candidate is promoted once, its state sees to."""
    asked = digest_of(written)
    for case in cases:
        if case.id == written.id:
            raise InvalidSuite(f"there is a case {case.id} already")
        if digest_of(case) == asked:
            raise InvalidSuite(f"the case {case.id} asks the same already")


def _refuse_personal(written: Mapping[str, Any]) -> None:
    """Raises InvalidSuite. What no pattern knows, a name above all, only whoever reviews the change can see."""
    told = yaml.safe_dump({name: written[name] for name in ("input", "expect", "criteria", "origin")}, allow_unicode=True)
    if kinds := personal(told):
        raise InvalidSuite(f"the case would hold personal data: {', '.join(kinds)}. Word it anew with --question")


def today() -> date:
    """The day that a case is added on, in UTC."""
    return datetime.now(UTC).date()
