"""Each error that the service answers callers with leads to its place of the runbook: by its code, and by its own sentence (K1).

The codes are those of the error tree. The sentences are read from the code that raises them, so a new one is searched for too.
"""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import product

from conftest import ROOT

from app.domain import errors
from app.domain.errors import BudgetExceeded, OctantError
from app.edge.errors import TABLE
from app.oncall.runbook import pages
from app.oncall.runbook.search import SURE, find

RUNBOOK = pages.read()
CALLER, AWAY = "callers", "valkey-away postgres-away"
FORMS = CALLER  # requests that have to be written otherwise
# The places that help, by the error's code. A place is a page, or a section of one.
PLACES = {
    "invalid_request": FORMS, "unsupported_parameter": FORMS, "previous_response_not_found": FORMS, "model_not_found": FORMS,
    "not_found": FORMS, "method_not_allowed": FORMS, "no_websocket": FORMS, "job_finished": f"{FORMS} jobs",
    "action_closed": FORMS, "request_too_large": FORMS, "context_length_exceeded": FORMS, "content_filter": FORMS,
    "unsupported_encoding": FORMS, "unsupported_endpoint": FORMS, "wrong_endpoint": FORMS, "url_too_long": FORMS,
    "headers_too_large": FORMS, "request_too_slow": FORMS, "idempotency_key_reused": FORMS, "idempotency_key_in_use": FORMS,
    "output_unchecked": "malformed-output", "output_invalid": "malformed-output", "content_refused": "injection-direct",
    "answer_withheld": "injection-direct", "rate_limit_exceeded": "cost-caps", "budget_exceeded": "budget-exhausted",
    "providers_rate_limited": "rate-limits#every-provider-limits-us", "providers_unavailable": "provider-outage",
    "deadline_exceeded": "latency", "stopped_by_operator": "kill-switch", "shutting_down": "README#the-service-is-not-running",
    "dependency_unavailable": AWAY, "invalid_api_key": "keys", "permission_denied": "keys", "job_lost": "jobs",
    "translation_refused": "provider-outage#a-model-refuses-requests-that-another-one-answers",
    "internal_error": "observability#an-error-that-no-code-foresaw",
}  # fmt: skip
# Sentences whose place is another than their code's.
OWN = {
    "Too many wrong": "keys#many-wrong-keys",
    "No such job.": "callers jobs",
    "Which release is live cannot be read right now.": "postgres-away",
}
# Answers to operators, not to callers: of their commands and of the console.
OPERATORS = (
    "admin", "audit", "budget/change.py", "cli", "console", "oncall", "releases/catalogue.py", "releases/shadow_watch.py",
    "releases/shares.py", "security/keys/administration.py", "security/redaction", "simulator", "stack/probes.py",
    "stack/real_traffic.py", "stack/rehearsal.py", "wiring",
)  # fmt: skip
WHOSE = ("tenant", "API key")
SAMPLES = ("7", "temperature")
LEAST_WORDS = 3  # of a sentence of its own: one with fewer is made of other ones


def sentences(folder: str = "") -> Iterator[tuple[type[OctantError], str]]:
    """Each sentence of an error in the code, with sample values in its gaps. One that stands in a variable is read there."""
    for path in sorted((ROOT / "app" / folder).rglob("*.py")):
        within = path.relative_to(ROOT / "app")
        if within.as_posix() in OPERATORS or {parent.as_posix() for parent in within.parents} & set(OPERATORS):
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = [node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
        for node in nodes:
            if isinstance(node, ast.Call) and (kind := _kind(node.func)) and node.args:
                above = sorted((one for one in named if one.lineno <= node.lineno), key=lambda one: one.lineno)
                written = {ast.unparse(one.targets[0]): one.value for one in above}  # the nearest one above counts
                yield from ((kind, words) for words in _texts(node.args[0], written))


def _kind(func: ast.expr) -> type[OctantError] | None:
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, OctantError) else None


def _texts(node: ast.AST, written: dict[str, ast.expr]) -> list[str]:
    """The texts that an expression of the code can be."""
    match node:
        case ast.Constant(str() | int() as value):
            return [str(value)]
        case ast.JoinedStr(parts) if _own_words(parts) >= LEAST_WORDS:
            each = [_texts(part.value if isinstance(part, ast.FormattedValue) else part, written)[:2] for part in parts]
            return ["".join(one) for sample in SAMPLES for one in product(*(texts or [sample] for texts in each))]
        case ast.BinOp(left, _, right):
            return ["".join(both) for both in product(_texts(left, written), _texts(right, written))]
        case ast.IfExp(_, body, orelse):
            return [*_texts(body, written), *_texts(orelse, written)]
        case ast.Name(name) if name in written:
            return _texts(written[name], {other: value for other, value in written.items() if other != name})
    return []


def _own_words(parts: list[ast.expr]) -> int:
    return len(re.findall(r"\w+", " ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))))


@cache
def catalogue() -> list[tuple[str, str]]:
    """Codes and sentences, each once; with the sentences that the errors make themselves."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    caps = [
        BudgetExceeded(scope=scope, limit=5_000_000, spent=4_900_000, held=0, needed=200_000, resets_at=at, now=now)
        for scope in ("tenant-day", "tenant-month", "user-day", "user-month", "global-day", "request")
        for at in (now, None)
    ]
    limits = [f"The {whose}'s limit of 3 {what} per minute is reached." for whose, what in product(WHOSE, ("requests", "tokens"))]
    found = [(kind.code, words) for kind, words in sentences()]
    found += [(BudgetExceeded.code, cap.message) for cap in caps] + [("rate_limit_exceeded", limit) for limit in limits]
    return list(dict.fromkeys(found))


def place(words: str) -> tuple[float, str]:
    """The first place and its score; none at all is no place."""
    score, topic = next(iter(find(RUNBOOK, words, ("anthropic", "openai"))), (0.0, None))
    return score, topic.address.removeprefix("runbook/").replace(".md", "") if topic else ""


def helps(found: str, wanted: str) -> bool:
    return bool({found, found.partition("#")[0]} & set(wanted.split()))


def lost(asked: list[tuple[str, str]]) -> list[tuple[str, float, str, str]]:
    """Those words that do not surely lead to a place that helps."""
    found = [(words, *place(words), wanted) for words, wanted in asked]
    return [one for one in found if one[1] < SURE or not helps(one[2], one[3])]


def wanted_for(code: str, words: str) -> str:
    return next((places for begin, places in OWN.items() if words.startswith(begin)), PLACES[code])


def test_each_error_of_the_service_has_a_place_in_the_runbook() -> None:
    assert {error.code for error in TABLE} == set(PLACES)
    names = {page.name.removesuffix(".md"): page for page in RUNBOOK}
    known = {*names, *(f"{name}#{section.anchor}" for name, page in names.items() for section in page.sections)}
    assert {one for places in PLACES.values() for one in places.split()} - known == set()


def test_each_code_leads_to_its_place_alone_and_with_its_status() -> None:
    """`429 rate_limit_exceeded`, a customer's own limit, once led to a page whose first command stops a provider."""
    asked = [(words, PLACES[error.code]) for error, row in TABLE.items() for words in (error.code, f"{row.status} {error.code}")]
    assert lost(asked) == []


def test_each_type_of_a_vendors_envelope_leads_to_a_place_of_its_errors() -> None:
    """Both vendors' clients show it before the code."""
    types: dict[str, set[str]] = {}
    for error, row in TABLE.items():
        for one in (row.openai, row.anthropic):
            types.setdefault(one, set()).update(PLACES[error.code].split())
    assert lost([(one, " ".join(sorted(places))) for one, places in types.items()]) == []


def test_each_sentence_that_callers_read_leads_to_its_place() -> None:
    """Those of a product stand on its own pages."""
    products = {words for _, words in sentences("features")}
    asked = [(words, wanted_for(code, words)) for code, words in catalogue() if words not in products]
    assert len(asked) > 150, "the sentences of the code are no longer found"
    assert lost(asked) == []


def test_each_sentence_with_its_code_leads_to_its_place() -> None:
    """As a log line or a caller's report has both."""
    assert lost([(f"{code}: {words}", f"{wanted_for(code, words)} {PLACES[code]}") for code, words in catalogue()]) == []
