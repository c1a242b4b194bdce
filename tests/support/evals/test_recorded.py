"""Recorded calls of the assistant are scored; candidates become cases (E9)."""

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from app.features.support.tickets import OUTPUT
from app.security.guard.guard import fence
from app.security.redaction.redactor import Redactor
from evals.cases import InvalidSuite
from evals.languages import surely
from evals.online.candidates import digest, digest_of
from evals.online.promotion import Wish, promoted
from evals.online.recorded import Unreadable
from evals.online.recorded import read as read_with
from evals.soundness import DRAFT
from evals.suite import Scored
from evals.suites.support.recorded import READERS
from evals.suites.support.suite import SUITE, SupportSuite

PASSAGE = "Shipping times\nStandard shipping takes 3 to 5 business days. Call +1 202 555 0123. Express takes 2 days."
QUESTION = "How long is it until standard shipping is at my house, if you can ship it for me?"


def text(*parts: dict[str, Any]) -> str:
    return json.dumps({"parts": list(parts), "stop": "end_turn"})


def record(answer: str, *, question: str = QUESTION, turns: str = "", later: Any = (), **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """A call of `support.answer` as the service records it, redacted like one."""
    prompt = f"\n{turns}{fence('question', question, nonce='0a1b2c3d')}\n\nHelp articles:\n"
    prompt += fence("passage", PASSAGE, nonce="4e5f6a7b", id="shipping-times")
    request = {"system": ["…"], "messages": [{"role": "user", "parts": [{"text": prompt}]}, *later]}
    redactor = Redactor(b"these tests")
    row = {
        "feature": "support.answer",
        "outcome": "ok",
        "request": json.dumps(request),
        "response": text({"text": answer}),
    } | changes
    return row | {name: redactor.redact(row[name], tenant="acme") for name in ("request", "response")}


def read(row: dict[str, Any]) -> Scored:
    return read_with(row, READERS)


def wrong(row: dict[str, Any]) -> list[str]:
    return [str(found) for found in read(row).findings]


def test_an_answer_that_its_passage_holds_is_right() -> None:
    found = read(record("It takes 3 to 5 business days. [shipping-times]"))
    assert found.findings == ()
    assert found.request == {"endpoint": "support/answer", "question": QUESTION}
    assert (found.answer["outcome"], found.answer["citations"][0]["article_id"]) == ("answered", "shipping-times")


@pytest.mark.parametrize(
    ("answer", "scorer"),
    [
        ("It takes 9 business days. [shipping-times]", "figures: says 9"),
        ("It takes 3 to 5 days. [shipping-times] [returns-policy]", "sources: sources named that it was not shown: 1"),
        ("Write to ada.lovelace@example.com, it takes 3 to 5 days. [shipping-times]", "privacy: holds personal data: email"),
        (
            "Es dauert 3 bis 5 Tage, und Sie haben die Ware mit der Post. [shipping-times]",
            "language: is written in de, not in en",
        ),
    ],
)
def test_what_is_wrong_with_any_answer_is_found_without_an_expectation(answer: str, scorer: str) -> None:
    assert any(found.startswith(scorer) for found in wrong(record(answer))), wrong(record(answer))


def test_the_shops_own_number_is_no_leak_and_no_invented_figure() -> None:
    assert wrong(record("Call +1 202 555 0123. [shipping-times]")) == []


def test_a_tag_of_html_is_no_personal_data_and_text_that_could_not_be_redacted_is() -> None:
    assert wrong(record("It takes<br>3 to 5 <b>business</b> days. [shipping-times]")) == []
    row = record("It takes 3 to 5 business days. [shipping-times]")
    failed = row | {"response": row["response"].replace("It takes", "It takes <redaction-failed>")}
    assert wrong(failed) == ["privacy: holds personal data: redaction-failed"]


def test_an_answer_that_nothing_supports_was_handed_over_as_the_customer_saw_it() -> None:
    found = read(record("It takes 9 business days."))
    assert (found.answer["outcome"], found.findings) == ("handed_over", ())


def test_what_a_tool_said_supports_figures_and_a_refused_argument_does_not() -> None:
    def used(result: str) -> list[dict[str, Any]]:
        call = {"role": "assistant", "parts": [{"tool_use": "get_order", "arguments": "{}"}]}
        return [call, {"role": "user", "parts": [{"tool_result": [{"text": result}], "is_error": False}]}]

    assert read(record("It costs 42.", later=used('{"total": "42"}'))).answer["outcome"] == "answered"
    assert wrong(record("It costs 42.", later=used('{"total": "42"}'))) == []
    assert wrong(record("It costs 43.", later=used('{"total": "42"}'))) == ["figures: says 43, which no cited article says"]
    refused = used('{"error": "Call it again with valid arguments. order_id: missing"}')
    assert read(record("It costs 42.", later=refused)).answer["outcome"] == "handed_over"


def test_earlier_turns_are_read_with_who_said_them() -> None:
    turns = fence("turn", "It is a tent.", nonce="11aa22bb", role="assistant") + "\n"
    assert read(record("Yes. [shipping-times]", turns=turns)).request["conversation"] == [
        {"role": "assistant", "text": "It is a tent."}
    ]


@pytest.mark.parametrize(
    "row",
    [
        record("x", request="no JSON"),
        record("x", request='{"messages": []}'),
        record("x", response=text({"tool_use": "get_order", "arguments": "{}"})),
        record("x", response="null"),
        {**record("x"), "request": "<redaction-failed>"},
    ],
    ids=["no JSON", "no message", "left in the middle", "no reply", "not redacted"],
)
def test_a_record_that_cannot_be_read_is_no_score(row: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(row)


@pytest.mark.parametrize("raises", [RecursionError, ZeroDivisionError, UnicodeError, KeyError])
def test_an_error_of_a_reader_is_a_record_that_cannot_be_read(raises: type[Exception]) -> None:
    def stumble(*_: object) -> Scored:
        raise raises

    with pytest.raises(Unreadable):
        read_with(record("x"), {"support.answer": stumble})


def test_json_that_is_nested_too_deep_is_a_record_that_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        read(record("x") | {"response": "[" * 200_000})


@pytest.mark.parametrize("poison", ["\0", "\ud800"], ids=["NUL", "half a surrogate pair"])
def test_what_is_read_holds_nothing_that_postgres_cannot_hold(poison: str) -> None:
    as_json = json.dumps(poison)[1:-1]
    call = record("It takes 9 days. [shipping-times]", question="When, then?")
    request, response = (call[name].replace("days", "days~").replace("then", "then~") for name in ("request", "response"))
    call |= {"request": request.replace("~", as_json), "response": response.replace("~", as_json)}
    filled = ticket("Where is my parcel?", summary=f"Asks{poison}.", product=f"A tent{poison}")
    for found in (read(call), read(filled)):
        assert found.answer or found.findings
        stored = repr([found.request, found.answer, found.findings])
        assert "\\x00" not in stored
        assert "\\ud800" not in stored
    assert read(call).request["question"] in ("When, then\N{REPLACEMENT CHARACTER}?", "When, then??")


def ticket(message: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    filled = {"category": "shipping", "priority": "normal", "order_id": None, "product": None, "sentiment": "neutral"}
    filled |= {"language": "en", "summary": "Asks for a parcel."} | fields
    request = {"messages": [{"role": "user", "parts": [{"text": fence("customer_message", message, nonce="0a1b2c3d")}]}]}
    row = {"feature": "support.ticket", "outcome": "ok", "request": json.dumps(request)}
    return row | {"response": text({"text": json.dumps(filled)})}


def test_a_ticket_fits_its_schema_names_the_order_that_was_named_and_its_language() -> None:
    assert OUTPUT.name == "ticket"
    message = "Where is my parcel NW-10001? I have been waiting for it and nothing has come to me."
    assert wrong(ticket(message, order_id="NW-10001")) == []
    assert wrong(ticket(message)) == ["fields: order_id is None, not 'NW-10001'"]
    assert wrong(ticket(message, order_id="NW-10001", language="de")) == ["fields: language is 'de', not 'en'"]
    assert wrong(ticket(message, category="gossip")) == ["schema: $.category: literal_error"]


def test_a_language_is_demanded_only_where_it_is_beyond_doubt() -> None:
    assert surely("Wie lange dauert es, und kann ich das Zelt mit der Post nach Hause haben?") == "de"
    assert surely("Tent?") is None
    assert surely("Danke, but is the Zelt in der box?") is None


def test_the_same_question_is_one_candidate_for_any_spelling_and_user() -> None:
    one = {"endpoint": "support/answer", "question": "Mail me at <email:0a1b2c3d>, when is it there?"}
    other = {"endpoint": "support/answer", "question": " mail me at  <email:99887766>, When is it there "}
    assert digest(one) == digest(other)
    assert digest(one) != digest({**one, "endpoint": "support/tickets"})
    assert digest(one) != digest({**one, "conversation": [{"role": "customer", "text": "Hello"}]})


@pytest.fixture
def suite(tmp_path: Path) -> SupportSuite:
    """A copy that cases can be added to."""
    shutil.copytree(SUITE.cases_folder, tmp_path / "cases")
    return SupportSuite(tmp_path)


def candidate(question: str, **seen: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    request = {"endpoint": "support/answer", "question": question}
    answered = {"answer": "It takes 9 days.", "findings": [{"scorer": "figures", "words": "says 9, which no cited article says"}]}
    about = {"release": "2026-11-22", "at": datetime(2026, 11, 24, 9, tzinfo=UTC), "reasons": ["low_score"]}
    return {"asked": request, "seen": answered | seen, "digest": digest(request), **about}


DAY = date(2026, 11, 25)
NEW = "How soon is a parcel on my porch?"


def test_a_candidate_becomes_a_case_at_the_end_of_its_modes_file(suite: SupportSuite) -> None:
    expect = {"outcome": "answered", "cites": ["shipping-times"]}
    wish = Wish(mode="retrieval_miss", id="porch", criteria="Passes if shipping times are cited.", expect=expect)
    path, content = promoted(candidate(NEW), wish, DAY, suite)
    assert path == suite.cases_folder / "retrieval_miss" / "answer.yaml"
    assert content.startswith(path.read_text().rstrip()), "what was there stays as it was, comments too"
    path.write_text(content)
    case = next(case for case in suite.load() if case.id == "porch")
    assert case.input.body == {"question": NEW, "user": "ada"}
    assert case.added == DAY
    origin = "production, release 2026-11-22, 2026-11-24: low_score; seen: It takes 9 days."
    assert case.origin == f"{origin} (figures: says 9, which no cited article says)"


def test_without_an_expectation_it_is_a_draft_that_no_suite_takes(suite: SupportSuite) -> None:
    path, content = promoted(candidate(NEW), Wish(mode="multilingual", id="porch"), DAY, suite)
    path.write_text(content)
    with pytest.raises(InvalidSuite, match="porch: expects nothing"):
        suite.load()
    assert f"criteria: '{DRAFT}: " in content


def test_a_mode_without_a_file_gets_one(suite: SupportSuite) -> None:
    shutil.rmtree(suite.cases_folder / "pii_leak")
    path, content = promoted(candidate(NEW), Wish(mode="pii_leak", id="porch"), DAY, suite)
    assert not path.exists()
    assert content.startswith("# yaml-language-server: $schema=../../case.schema.json\n- id: porch\n")


@pytest.mark.parametrize(
    ("question", "identity", "why"),
    [
        ("How long does STANDARD shipping take", "porch", "standard-shipping-time asks the same"),
        (NEW, "standard-shipping-time", "there is a case standard-shipping-time already"),
        (NEW, "No Id", "out of form"),
        ("I live at <address:0a1b2c3d>, when is it there?", "porch", "holds address, taken out by redaction"),
        ("I am someone@corp.example, when is it there?", "porch", "would hold personal data: email"),
    ],
)
def test_what_is_there_already_or_personal_is_refused(suite: SupportSuite, question: str, identity: str, why: str) -> None:
    with pytest.raises(InvalidSuite, match=why):
        promoted(candidate(question), Wish(mode="retrieval_miss", id=identity), DAY, suite)


def test_redacted_values_come_back_as_made_up_ones(suite: SupportSuite) -> None:
    question = "Send it to <email:0a1b2c3d> or call <phone:0a1b2c3d>."
    _, content = promoted(
        candidate(question, answer="I wrote to <email:0a1b2c3d>."), Wish(mode="pii_leak", id="porch"), DAY, suite
    )
    assert "Send it to ada.l@example.com or call 555-0187." in content
    assert "0a1b2c3d" not in content
    assert "I wrote to (email)." in content


def test_a_tag_of_html_in_a_question_stays_what_it_is(suite: SupportSuite) -> None:
    _, content = promoted(candidate(f"{NEW} <br> I wrote <em>twice</em>"), Wish(mode="pii_leak", id="porch"), DAY, suite)
    assert "<br> I wrote <em>twice</em>" in content


def test_a_case_that_was_promoted_is_known_by_its_made_up_values_too(suite: SupportSuite) -> None:
    question = "Send my receipt to <email:0a1b2c3d> please"
    path, content = promoted(candidate(question), Wish(mode="pii_leak", id="porch", expect={"outcome": "answered"}), DAY, suite)
    path.write_text(content)
    case = next(case for case in suite.load() if case.id == "porch")
    assert digest_of(case) == candidate(question)["digest"]
    with pytest.raises(InvalidSuite, match="porch asks the same already"):
        promoted(candidate(question.replace("0a1b2c3d", "99887766")), Wish(mode="pii_leak", id="other"), DAY, suite)
