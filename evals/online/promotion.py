"""Turns a candidate into a case file for review, without the user and personal data.

Without an expectation the case is a draft, and `evals check` refuses it until a person has written what a good answer holds:
the answer in production is the one in doubt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from evals.cases import Case, InvalidSuite, file_of
from evals.online.candidates import digest_of, text_of
from evals.online.recorded import TOKEN
from evals.privacy import personal
from evals.soundness import DRAFT
from evals.suite import Suite

# Made-up values in place of those that redaction took out (`evals.privacy.MADE_UP`); other types need a person's rewording.
STAND_INS = {
    "email": "ada.l@example.com",
    "phone": "555-0187",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
}
LONGEST_SEEN = 240  # characters of an answer in a case's origin
HEAD = "# yaml-language-server: $schema=../../case.schema.json\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The reviewer's part of the case.

    ``expect`` as in a case file, may be empty; ``question`` replaces the user's words.
    """

    mode: str
    id: str
    user: str = "ada"
    question: str = ""
    criteria: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)


def promoted(candidate: Mapping[str, Any], wish: Wish, today: date, suite: Suite) -> tuple[Path, str]:
    """The file that the case belongs to, and the file's new content. Nothing is written.

    Raises InvalidSuite: a question or id that is there already, personal data, a case out of form, a suite that is broken before.
    """
    written = _case(candidate, wish, today, suite)
    try:
        (case,) = file_of(suite.case_types).validate_python([written])
    except ValidationError as error:
        raise InvalidSuite(f"the case is out of form: {error}") from error
    _refuse_duplicates(case, suite.load())
    _refuse_personal(written, suite.public_text)
    name = written["endpoint"].rpartition("/")[2]
    path = suite.cases_folder / wish.mode / f"{name}.yaml"
    before = path.read_text(encoding="utf-8") if path.exists() else HEAD
    block = yaml.safe_dump([written], sort_keys=False, allow_unicode=True, width=126)
    gap = "" if before == HEAD else "\n"
    return path, f"{before.rstrip()}\n{gap}{block}"


def _case(candidate: Mapping[str, Any], wish: Wish, today: date, suite: Suite) -> dict[str, Any]:
    request = dict(candidate["asked"])
    return {
        "id": wish.id,
        "failure_mode": wish.mode,
        "endpoint": request["endpoint"],
        "input": suite.promoted(request, _restored, wish.user, wish.question),
        "expect": dict(wish.expect),
        "criteria": wish.criteria or f"{DRAFT}: say what passes, what fails, and what must be expected above.",
        "origin": _origin(candidate, suite.text_fields),
        "added": today,
    }


def _origin(candidate: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The candidate's origin and its answer, in one line.

    Without a name, a request or a token.
    """
    seen, at = candidate["seen"], candidate["at"].astimezone(UTC)
    line = f"production, release {candidate['release']}, {at:%Y-%m-%d}: {', '.join(candidate['reasons'])}"
    answer = text_of(seen, fields)
    wrong = "; ".join(f"{one['scorer']}: {one['words']}" for one in seen.get("findings", ()))
    line += f"; seen: {answer[:LONGEST_SEEN]}" if answer else ""
    return TOKEN.sub(r"(\1)", " ".join((line + (f" ({wrong})" if wrong else "")).split()))


def _restored(text: str) -> str:
    """Made-up values in place of tokens. Raises InvalidSuite for a type that has none."""
    if missing := sorted({found[1] for found in TOKEN.finditer(text)} - set(STAND_INS)):
        raise InvalidSuite(f"the question holds {', '.join(missing)}, taken out by redaction: word it anew with --question")
    return TOKEN.sub(lambda found: STAND_INS[found[1]], text)


def _refuse_duplicates(written: Case, cases: Sequence[Case]) -> None:
    """Raises InvalidSuite. A reworded question is another question; its state ensures that a candidate is promoted once."""
    key = digest_of(written)
    for case in cases:
        if case.id == written.id:
            raise InvalidSuite(f"there is a case {case.id} already")
        if not case.chaos and digest_of(case) == key:  # a chaos case repeats a question
            raise InvalidSuite(f"the case {case.id} asks the same already")


def _refuse_personal(written: Mapping[str, Any], public: str) -> None:
    """Raises InvalidSuite. No pattern knows names: only the reviewer of the change sees them."""
    text = yaml.safe_dump({name: written[name] for name in ("input", "expect", "criteria", "origin")}, allow_unicode=True)
    if types := personal(text, public):
        raise InvalidSuite(f"the case would hold personal data: {', '.join(types)}. Word it anew with --question")


def today() -> date:
    """The day that a case is added on, in UTC."""
    return datetime.now(UTC).date()
