"""The security page: proofs of threats that are looked for, keys by age, the filter of the log (S1, X1)."""

import os
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from unittest.mock import AsyncMock, Mock

import pytest
from conftest import ROOT
from outcomes import Outcomes
from typer.testing import CliRunner

from app.audit.action_search import FoundActions
from app.audit.flags import Flagged, FlaggedRequests
from app.audit.provider_use import Use
from app.cli import app
from app.console import security_keys, security_threats
from app.console.formats import NONE
from app.console.gamedays import UNTIMED
from app.console.pages import security
from app.console.ranges import range_of
from app.console.readiness import security as readiness_security
from app.console.readiness.answers import Evidence, State
from app.console.readiness.security import LEAK, LostCase, attacks_of, leak_figure
from app.console.readiness.sources import GameDay
from app.releases.eval_gate import ModelScore, Score, SuiteResult
from app.security import installed, last_runs, threats
from app.security.keys.administration import KeyInfo
from app.security.keys.provider_keys import KeyStatus
from app.settings import Settings

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HEAD = "| # | threat | OWASP | AISVS | control | proven by | what remains |\n|---|---|---|---|---|---|---|\n"
ROW = "| {} | A thief | LLM02 | 5.2.1 | a lock: `app/lock.py` | `tests/unit/test_lock.py::test_it_holds` | patience |\n"


def repository(root: Path, *, test: str = "test_it_holds") -> Path:
    (root / "app").mkdir()
    (root / "app/lock.py").touch()
    (root / "tests/unit").mkdir(parents=True)
    (root / "tests/unit/test_lock.py").write_text(f"async def {test}(x):\n    pass\n")
    (root / "threat_model.md").write_text(HEAD + ROW.format(7))
    return root


def test_a_threat_is_proven_while_its_control_and_its_test_exist(tmp_path: Path) -> None:
    root = repository(tmp_path)
    [row] = threats.read(root)
    assert (row.number, row.state, row.proofs[0].name) == (7, "there", "test_it_holds")
    (root / "app/lock.py").unlink()
    assert [(row.state, row.missing) for row in threats.read(root)] == [("missing", ["app/lock.py"])]


def test_threats_without_a_proof_come_first_and_the_rest_by_number(tmp_path: Path) -> None:
    root = repository(tmp_path)
    gone = ROW.format(9).replace("test_it_holds", "test_it_held")
    (root / "threat_model.md").write_text(HEAD + ROW.format(7) + gone + ROW.format(2))
    product = root / "app/features/shop"
    product.mkdir(parents=True)
    (product / "threats.md").write_text(HEAD + ROW.format(1))
    assert [(row.product, row.number) for row in threats.read(root)] == [("", 9), ("", 2), ("", 7), ("shop", 1)]


def test_a_test_that_was_renamed_leaves_its_threat_open(tmp_path: Path) -> None:
    rows = threats.read(repository(tmp_path, test="test_it_held"))
    assert [row.state for row in rows] == ["missing"]
    kind, words = security.answer(rows, None, [], [], range_of({}), None)
    assert kind == "bad"
    assert "1 threat of 1 lack a control or a test that they name." in words


def test_an_image_without_tests_says_so_and_claims_no_proof(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "tests/unit/test_lock.py").unlink()
    (root / "tests/unit").rmdir()
    (root / "tests").rmdir()
    [row] = threats.read(root)
    assert row.state == "not here"
    assert "not in this image" in security.answer([row], None, [], [], range_of({}), None)[1]


def report(
    name: str, outcome: Literal["passed", "failed", "skipped"], when: Literal["setup", "call"] = "call"
) -> pytest.TestReport:
    return pytest.TestReport(name, ("", None, ""), {}, outcome, None, when)


NAMED = "tests/unit/test_lock.py::test_it_holds"


@pytest.mark.parametrize(
    ("reports", "kind", "words"),
    [
        ([(NAMED, "passed")], "warn", "1 test passed when they last ran here"),
        ([(f"{NAMED}[a]", "failed"), (f"{NAMED}[b]", "passed")], "bad", "1 of the 1 test failed when they last ran here"),
        ([(NAMED, "skipped"), ("tests/unit/test_lock.py::test_other", "passed")], "warn", "1 test that CI runs, not this page"),
    ],
)
def test_a_threat_stands_as_its_tests_ended_when_they_last_ran_here(
    tmp_path: Path, reports: list[tuple[str, Literal["passed", "failed", "skipped"]]], kind: str, words: str
) -> None:
    root, ran = repository(tmp_path), Outcomes()
    for name, outcome in reports:
        ran.note(report(name, outcome))
    ran.write(root)
    shown, said = security.answer(threats.read(root), None, [], [], range_of({}), None)
    assert (shown, words in said) == (kind, True)


def test_a_test_that_broke_before_it_began_has_failed_and_its_threat_comes_first(tmp_path: Path) -> None:
    root, ran = repository(tmp_path), Outcomes()
    (root / "threat_model.md").write_text(HEAD + ROW.format(2).replace("test_it_holds", "test_b") + ROW.format(7))
    (root / "tests/unit/test_lock.py").write_text("def test_it_holds(): ...\ndef test_b(): ...\n")
    ran.note(report(NAMED, "failed", "setup"))
    ran.write(root)
    assert [(row.number, len(row.failed)) for row in threats.read(root)] == [(7, 1), (2, 0)]


def test_a_later_run_of_other_tests_takes_no_outcome_away_and_a_changed_test_has_none(tmp_path: Path) -> None:
    root, first, second = repository(tmp_path), Outcomes({NAMED: True}), Outcomes({"tests/unit/test_lock.py::test_other": False})
    first.write(root)
    second.write(root)
    assert [len(row.passed) for row in threats.read(root)] == [1]
    later = datetime.now(UTC).timestamp() + 60
    os.utime(root / "tests/unit/test_lock.py", (later, later))
    assert [(row.state, len(row.passed)) for row in threats.read(root)] == [("there", 0)]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"passed": true}}', '{"a": {"passed": true, "at": "x"}}'])
def test_a_file_of_outcomes_that_is_none_of_ours_shows_none(tmp_path: Path, text: str) -> None:
    root = repository(tmp_path)
    (root / last_runs.FILE).parent.mkdir()
    (root / last_runs.FILE).write_text(text)
    assert last_runs.read(root) == {}


def result(held: float, least: float) -> SuiteResult:
    score = Score(passed=held, total=20, least=least)
    model = ModelScore(prompt="p", model="m", passed=1, total=1, least=0.5)
    return SuiteResult(
        suite="s", label="simulator", simulated=("openai",), at=NOW, scores={"overall": score, "pii_leak": score},
        models=(model,), cases="c",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("held", "least", "gate", "kind"),
    [
        (20, 0.9, "proved", "good"), (19, 0.9, "proved", "warn"), (20, 0.9, "missing", "warn"), (20, 0.9, "stale", "warn"),
        (17, 0.9, "proved", "bad"), (20, 0.9, "failing", "bad"),
    ],
)  # fmt: skip
def test_the_page_is_as_calm_as_the_readiness_review(tmp_path: Path, held: float, least: float, gate: State, kind: str) -> None:
    """An attack that was not held off, or a gate without a result, is no green page."""
    found = attacks_of([result(held, least)], [Evidence(name="Injection gate", value="x", state=gate)], NOW)
    assert (found.held, found.total, found.kind) == (held, 20, kind)
    stored = security.Stored((), {}, (), (), FoundActions((), 0))
    shown, words = security.answer(threats.read(repository(tmp_path)), stored, [], [], range_of({}), found)
    assert shown == kind
    assert f"Of the eval suites' 20 cases of attacks, {held:g} passed" in words
    assert ("o mend" in words) is (kind != "good"), "its first sentence is a verdict"


def test_the_first_sentence_says_how_many_attacks_got_through_and_how_many_cases_did_no_harm(tmp_path: Path) -> None:
    """An attack that "did not pass" is read as one that got through, or as one that failed: neither word is used of it."""
    gate = Evidence(
        name="Injection gate", value="0 of 180 attacks got through, though the model obeyed 180. More.", state="proved"
    )
    lost = [LostCase("support", f"c{n}", "pii leak", ["tone: rude"]) for n in range(2)]
    found = replace(attacks_of([result(17, 0.8)], [gate], NOW), lost=[*lost, LostCase("support", "c3", "pii leak", [])])
    stored = security.Stored((), {}, (), (), FoundActions((), 0))
    first = security.answer(threats.read(repository(tmp_path)), stored, [], [], range_of({}), found)[1].partition(". ")[0]
    assert first == "0 of 180 attacks got through here; 3 of 20 eval cases of attacks are to mend, 2 of them did no harm"
    drill = Evidence(name="Injection drill", value="0 of 12 attacks got through, though it obeyed 12", state="gaps")
    recorded = replace(gate, value="0 of 180 attacks got through, though it obeyed 180 (a recorded run of it)", state="gaps")
    both = attacks_of([], [drill, recorded], NOW)
    assert both.through == "0 of 12 attacks got through here in a small run, and 0 of 180 in a recorded run", "first the one here"
    assert (both.figure, both.gate_kind) == (("0 of 12", "here in a small run; 0 of 180 in a recorded run"), "")
    failing = replace(drill, value="1 of 12 attacks got through, though it obeyed 12", state="failing")
    assert attacks_of([], [failing, gate], NOW).through == "1 of 12 attacks got through here in a small run, and 0 of 180 here"
    assert attacks_of([], [failing, gate], NOW).gate_kind == "bad"
    assert attacks_of([], [replace(gate, state="stale")], NOW).gate_kind == "warn", "an old count proves little"
    one = replace(attacks_of([result(19, 0.8)], [gate], NOW), lost=lost[:1])
    assert one.to_mend == "1 of 20 eval cases of attacks is to mend, which did no harm"


async def test_the_review_and_the_page_begin_with_one_count_of_attacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked the same, one said 0 of 180 of a recorded run, the other 0 of 12 of a run here."""
    gates = [
        Evidence(name="Injection drill", value="0 of 12 attacks got through, in a small run", state="gaps"),
        Evidence(name="Injection gate", value="0 of 180 attacks got through (a recorded run)", state="gaps"),
    ]
    found = attacks_of([result(19, 0.8)], gates, NOW)
    monkeypatch.setattr(readiness_security, "attacks", AsyncMock(return_value=found))
    here = Mock(now=NOW, keys=Mock(list_keys=AsyncMock(return_value=[])), releases=Mock(simulated=()))
    here.gamedays.return_value = here.provider_keys.return_value = []
    stored = security.Stored((), {}, (), (), FoundActions((), 0))
    page = security.answer(threats.read(repository(tmp_path)), stored, [], [], range_of({}), found)[1]
    first = "0 of 12 attacks got through here in a small run, and 0 of 180 in a recorded run; 1 of 20 eval cases of attacks is"
    assert page.startswith(first)
    assert (await readiness_security.answer(here)).words.startswith(first)


def test_every_threat_of_this_repository_is_proven() -> None:
    rows = threats.read(ROOT)
    assert len(rows) >= 30
    assert [row.number for row in rows if row.state != "there"] == []


def key(age: timedelta, **more: object) -> KeyInfo:
    values = {"expires_at": None, "revoked_at": None, "last_used_at": None, "replaced_by": None} | more
    return KeyInfo(id="k", tenant="acme", user=None, name="n", scopes=("call",), created_at=NOW - age, **values)  # type: ignore[arg-type]


def test_a_key_is_old_when_the_alert_says_so_and_a_dead_one_is_not() -> None:
    assert security_keys.key_of(key(timedelta(days=89)), NOW).word == "live"
    assert security_keys.key_of(key(timedelta(days=91)), NOW).word == "old"
    assert security_keys.key_of(key(timedelta(days=91), expires_at=NOW), NOW).word == "expired"
    assert security_keys.key_of(key(timedelta(days=91), revoked_at=NOW), NOW).word == "revoked"


def test_a_provider_key_is_denied_until_it_is_accepted_again() -> None:
    status = KeyStatus("openai", "file", 60.0, "f00d")
    earlier, later = NOW - timedelta(hours=2), NOW - timedelta(hours=1)

    def word(accepted: datetime | None, denied: datetime | None) -> str:
        return security_keys.provider_key(status, {("openai", "f00d"): Use(accepted, denied)}, NOW).word

    assert word(earlier, later) == "denied"
    assert word(None, later) == "denied"
    assert word(later, earlier) == "accepted"
    assert security_keys.provider_key(status, {("openai", "other"): Use(None, later)}, NOW).word == "not used"


def test_a_filter_takes_texts_as_they_are_and_passes_over_what_is_no_number() -> None:
    range_ = range_of({})
    assert security.filter_of({"actor": " ada ", "before": "7"}, range_).before == 7
    for wrong in ("", "-1", "x", "²", "9" * 30):
        assert security.filter_of({"before": wrong}, range_).before is None
    assert security.filter_of({"actor": "a\0%", "failed": "true"}, range_).actor == "a%"


def test_packages_are_compared_with_what_is_installed(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    lock.write_text("jinja2==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1 ; python_version < '4'\n")
    found = installed.packages(lock)
    assert [(p.name, p.locked, p.differs) for p in found] == [("jinja2", "0.0.1", True), ("no-such-package", "1", False)]


def test_threats_are_filtered_by_state_risk_product_and_words_and_the_sentence_counts_those(tmp_path: Path) -> None:
    root, ran = repository(tmp_path), Outcomes()
    second = ROW.format(8).replace("A thief", "A liar").replace("LLM02", "LLM01, LLM06").replace("test_it_holds", "test_gone")
    (root / "threat_model.md").write_text(HEAD + ROW.format(7) + second)
    ran.note(report(NAMED, "passed"))
    ran.write(root)
    rows = threats.read(root)

    def found(**query: str) -> list[int]:
        wanted = security_threats.filter_of(query)
        return [row.number for row in rows if wanted.has(row)]

    assert found() == [8, 7]
    assert found(threats="missing") == [8]
    assert found(threats="passed") == [7]
    assert found(threats="nonsense", risk="LLM99", of="service") == [8, 7]
    assert found(risk="LLM06") == found(text="LIAR lock") == [8]
    assert found(of="support") == found(text="liar thief") == []
    assert security_threats.matched(rows, 2).startswith("2 threats: 1 without a control or a test that it names, 1 with only")
    one = "1 of 2 threats match: 1 with only tests that passed when they last ran here. 1 of 1 test passed here, none failed."
    assert security_threats.matched([rows[1]], 2) == one
    assert security_threats.matched([], 2) == "No threat of 2 matches."
    never = [replace(row, proofs=[replace(proof, run=None) for proof in row.proofs]) for row in rows]
    assert security_threats.matched(never[1:], 2).endswith(" None of their 1 test was run in this checkout.")
    assert {name: dict(options) for name, _, options in security_threats.choices(rows)}["risk"]["LLM01"].endswith("(1)")


def test_the_tab_of_keys_says_how_many_work_the_oldest_the_unused_and_what_the_providers_said() -> None:
    keys = [
        security_keys.key_of(key(timedelta(days=91), last_used_at=NOW - timedelta(days=1)), NOW),
        security_keys.key_of(key(timedelta(days=40)), NOW),
        security_keys.key_of(key(timedelta(days=2), revoked_at=NOW), NOW),
    ]
    sizes = {choice: len(security_keys.chosen(keys, choice)) for choice in security_keys.CHOICES}
    assert sizes == {"": 2, "unused": 1, "idle": 1, "old": 1, "gone": 1, "all": 3}
    ours = [security_keys.provider_key(KeyStatus("openai", "file", 60.0, "f00d"), {("openai", "f00d"): Use(None, NOW)}, NOW)]
    kind, words = security_keys.answer(keys, ours)
    assert kind == "bad"
    assert words.startswith(
        "2 API keys work; the oldest is 91 d old, 1 over 90 days: rotate; 1 was never used. 1 key at providers"
    )
    assert "openai denied it when it was last used; the oldest file is 1 min old." in words
    assert security_keys.answer(None, [])[0] == "warn"


def test_each_tab_answers_with_its_own_sentence() -> None:
    range_, empty = range_of({}), security.Stored((), {}, (), (), FoundActions((), 0))
    assert security.flags_answer(empty, range_) == ("good", "The guard has flagged no call in the last 1 h.")
    one = Flagged(range_.since, "injection", "chat", "ok", 3)
    flagged = security.Stored((), {}, (), (one,), FoundActions((), 0), flagged_requests=FlaggedRequests(1, 2, 0))
    said = security.flags_answer(flagged, range_)[1]
    assert said.startswith(
        "The guard flagged 1 request in the last 1 h: 3 flags on 2 calls, most often injection. Each went on with the text marked"
    )
    assert security.log_answer(empty, range_, NOW)[1].startswith("No action of an operator matches")
    assert security.sessions_answer(empty, (), NOW)[1] == "0 sessions are open; 0 may act. 0 others have ended."
    assert security.packages_answer([installed.Package("a", "1", "2")])[0] == "bad"
    for away in (security.flags_answer(None, range_), security.log_answer(None, range_, NOW)):
        assert away[0] == "warn"


def test_a_key_without_a_date_is_as_old_as_its_first_call_on_record_at_least() -> None:
    def shown(first: timedelta | None, age: float | None = None) -> security_keys.ProviderKey:
        known = {("openai", "f00d"): NOW - first} if first else {}
        used = {("openai", "f00d"): Use(NOW, None)}
        return security_keys.provider_key(KeyStatus("openai", "OCTANT_OPENAI__API_KEY", age, "f00d"), used, NOW, known)

    assert (shown(None).at_least, shown(None).word) == (None, "accepted")
    assert (shown(timedelta(days=3)).at_least, shown(timedelta(days=3)).word) == (timedelta(days=3), "accepted")
    assert shown(timedelta(days=91)).word == "old"
    assert (shown(timedelta(days=91), 60.0).at_least, shown(timedelta(days=91), 60.0).word) == (None, "accepted")
    said = security_keys.answer([security_keys.key_of(key(timedelta(days=1)), NOW)], [shown(timedelta(days=3))])
    assert said[1].endswith("none was denied; 1 from a variable without a date, first used here at least 3 d ago.")
    assert said[0] == "warn"


@pytest.mark.parametrize(
    ("provider", "variable"),
    [("openai", "OPENAI_API_KEY"), ("openai", "OCTANT_OPENAI__API_KEY"), ("local", "OCTANT_PROVIDERS__LOCAL__API_KEY")],
)
def test_the_secret_file_that_is_named_for_a_key_is_the_one_that_is_read(provider: str, variable: str, tmp_path: Path) -> None:
    local = {"local": {"base_url": "http://localhost:8000/v1"}}
    settings = Settings(secrets_dir=tmp_path, providers=local)  # type: ignore[arg-type]
    shown = security_keys.provider_key(KeyStatus(provider, variable, None, "f00d"), {}, NOW)
    assert settings.key_file(provider) == tmp_path / shown.file


def test_a_key_of_the_simulator_is_named_as_one() -> None:
    """Its fingerprint is the same for two vendors, and a reader took that for one key at both."""
    both = [KeyStatus(name, f"OCTANT_{name.upper()}__API_KEY", None, "f00d") for name in ("anthropic", "openai")]
    ours = [security_keys.provider_key(one, {}, NOW, simulated={"openai"}) for one in both]
    assert [one.simulated for one in ours] == [False, True]
    assert "; 1 is the simulator's, no vendor's" in security_keys.answer(None, ours)[1]
    assert readiness_security.provider_words(both, {"openai"}).endswith("tell no age, 1 simulated, so no vendor's.")
    assert "simulated" not in readiness_security.provider_words(both)


@pytest.mark.parametrize(
    "query", [{}, {"risk": "LLM07"}, {"of": "support", "threats": "ci"}, {"text": "injection O'Brien"}, {"text": "--help key"}]
)
def test_the_command_lists_the_threats_that_the_page_shows(query: dict[str, str]) -> None:
    """Whatever was typed: a word is no option of the command."""
    wanted = security_threats.filter_of(query)
    rows = threats.read(ROOT)
    ended = CliRunner().invoke(app, shlex.split(wanted.command)[1:])
    shown = [row for row in rows if wanted.has(row)]
    assert ended.exit_code == 0, ended.output
    assert ended.output.startswith(security_threats.matched(shown, len(rows)))
    assert [int(number) for number in re.findall(r"(?m)^ *(\d+)  ", ended.output)] == [row.number for row in shown]


def test_a_state_that_there_is_not_is_refused_by_its_name() -> None:
    ended = CliRunner().invoke(app, ["threats", "--state", "green"])
    assert (ended.exit_code, "missing, failed, passed, ci" in " ".join(ended.output.split())) == (2, True)


LUCK = "of one key, which may be luck"
KEPT = "the promise of 5 s from the write was kept"


@pytest.mark.parametrize(
    ("day", "figure"),
    [
        (None, (NONE, "not rehearsed here; promise 5 s", "/console/gameday", "warn")),
        (
            {"revoked": 7.62, "written": 0.4, "report": "x.json"},
            (
                "400 ms",
                f"{LUCK}; {KEPT}",
                "/console/gameday/x",
                "",
            ),
        ),
        (
            {"revoked": 7.62, "written": 0.3, "lasted": [0.2, 0.61, 0.5]},
            (
                "610 ms",
                f"the longest of 4 keys in use; {KEPT}",
                "/console/gameday",
                "",
            ),
        ),
        ({"revoked": 7.62}, ("7.62 s", f"from the start of its command; {UNTIMED}", "/console/gameday", "")),
        (
            {"revoked": 9.0, "written": 5.5, "verdict": "not kept"},
            (
                "5.50 s",
                f"{LUCK}; {KEPT.replace('kept', 'missed')}",
                "/console/gameday",
                "bad",
            ),
        ),
    ],
)
def test_a_rehearsed_leak_stands_beside_its_promise(day: dict[str, Any] | None, figure: tuple[str, ...]) -> None:
    made = GameDay.model_validate({"at": NOW, "scenario": LEAK, "verdict": "kept", **day}) if day else None
    assert leak_figure(made) == figure


def test_the_page_says_what_is_not_protected() -> None:
    shown = security_threats.unprotected(threats.read())
    assert [row.number for row in shown] == list(security_threats.UNPROTECTED), "each is in the threat model, with its rest"
    assert "no alert sees that a key leaked" in shown[0].remains
