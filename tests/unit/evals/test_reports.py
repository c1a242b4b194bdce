"""Reports of a run for people and for programs (E4)."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from unit.evals.test_baseline import TODAY
from unit.evals.tiny import case, result

from evals.baseline import Baseline, PinnedRun, accept
from evals.evaluation import shown
from evals.gate import Threshold, Thresholds, judge
from evals.junit import junit
from evals.options import Reports
from evals.page import page
from evals.report import MARKER, SuiteRun, as_json, markdown, repeats
from evals.runs import Head, read, writer
from evals.scoring import Finding

GOLDEN = Path(__file__).parent / "golden" / "comment.md"
METRIC = "Deflection rate: the share of questions that need no person."
BAR = Threshold(least=0.5, goal=0.9, metric=METRIC)
THRESHOLDS = Thresholds(overall=BAR, modes={"wrong_tool": BAR, "pii_leak": BAR}, measures={"private": BAR})
CASES = [*(case(f"tool-{n}") for n in range(12)), *(case(f"leak-{n}", "pii_leak") for n in range(4)), case("new-one", "pii_leak")]


def pinned(folder: Path) -> PinnedRun:
    """The pinned run: every case but leak-0 passed; new-one did not exist."""
    keep = writer(folder / "before.jsonl", Head(label="simulator"), "tiny")
    for one in CASES[:-1]:
        keep(result(one, passed=one.id != "leak-0"))
    return accept(Baseline(cases={}), CASES[:-1], read(folder / "before.jsonl"), TODAY).runs["simulator"]


def judged(folder: Path) -> SuiteRun:
    """Seven tools were lost, one leak was won."""
    results = [result(one, passed=one.id not in {f"tool-{n}" for n in range(7)}) for one in CASES]
    return SuiteRun("tiny", results, judge(CASES, results, THRESHOLDS, pinned(folder)), THRESHOLDS)


def test_the_comment_on_a_pull_request_is_the_golden_file(tmp_path: Path) -> None:
    """E4: score, change beside the pinned run by failure mode, flipped cases, cost and time. Edit the golden file by hand."""
    assert markdown([judged(tmp_path)], "simulator") == GOLDEN.read_text()


def test_the_comment_can_be_found_again_and_labels_what_answered(tmp_path: Path) -> None:
    report = markdown([judged(tmp_path)], "simulator, replayed from a recording")
    assert report.rstrip().endswith(MARKER)
    assert "(simulator, replayed from a recording)" in report.splitlines()[0]


def test_a_terminal_ends_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ended with the list of cases that failed, a hundred lines below the verdict."""
    run = judged(tmp_path)
    shown(Head(label="simulator"), [run], Reports())
    last = capsys.readouterr().out.splitlines()[-1]
    total = run.verdict.overall.total
    assert last == f"Evals of tiny failed: below threshold or worse; {total - 7} of {total} judged cases passed."


def test_the_json_report_holds_the_comparison(tmp_path: Path) -> None:
    comparison = json.loads(json.dumps(as_json([judged(tmp_path)], "simulator")))["suites"]["tiny"]["comparison"]
    assert (comparison["modes"]["wrong_tool"]["verdict"], comparison["overall"]["verdict"]) == ("worse", "not shown worse")
    assert (comparison["won"], comparison["new"], len(comparison["lost"])) == (["leak-0"], ["new-one"], 7)


def test_junit_separates_failed_from_broken() -> None:
    results = [result(CASES[0]), result(CASES[1], passed=False), result(CASES[2], broken="HTTP 503 \x00")]
    run = SuiteRun("tiny", results, judge(CASES[:3], results, THRESHOLDS), THRESHOLDS)
    root = ET.fromstring(junit([run], "simulator \x1b"))  # noqa: S314 - our own
    suite = root[0]
    assert suite.get("name") == "tiny.wrong_tool"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [child.tag for one in suite for child in one] == ["failure", "error"]


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ('does not say 3.5 (of 7), it\'s "so"', 'does not say 3.5 (of 7), it\'s "so"'),
        ("<!-- octant-evals -->", "`<!-- octant-evals -->`"),
        ("<details>", "`<details>`"),
        ("![a](https://elsewhere.example/x)", "`![a](https://elsewhere.example/x)`"),
        ("see www.elsewhere.example", "`see www.elsewhere.example`"),
        ("see https://elsewhere.example", "`see https://elsewhere.example`"),
        ("@team closes #12", "`@team closes #12`"),
        ("line\n\n## All passed", "`line ## All passed`"),
        ("```\nthe rest", "```` ``` the rest ````"),
    ],
)
def test_a_models_words_are_no_markdown_of_the_comment(words: str, written: str) -> None:
    """An open fence or comment hid the cases behind it, and a name was notified."""
    wrong = replace(result(CASES[0]), findings=(Finding("facts", words),))
    run = SuiteRun("tiny", [wrong], judge(CASES[:1], [wrong], THRESHOLDS), THRESHOLDS)
    assert f"- `tool-0` (wrong_tool): facts: {written}. Passes" in markdown([run], "simulator")


def test_repeats_are_reported_as_pass_at_k_and_pass_hat_k() -> None:
    """E5."""
    results = [result(CASES[0], trial=n, passed=n > 0) for n in range(3)] + [result(CASES[1], trial=n) for n in range(3)]
    assert repeats(results) == {
        "pass@1": 0.8333, "pass@2": 1.0, "pass@3": 1.0, "pass^1": 0.8333, "pass^2": 0.6667, "pass^3": 0.5,
    }  # fmt: skip
    assert repeats(results[:1]) == {}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe"}
        if tag not in {"meta", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_says_what_failed_and_runs_nothing_that_a_model_wrote(tmp_path: Path) -> None:
    run = judged(tmp_path)
    evil = case("evil", question="<script>alert(1)</script>")
    html = page([replace(run, results=[*run.results, result(evil, passed=False)])], "simulator <b>")
    tags = _Tags()
    tags.feed(html)
    assert tags.open == []
    assert "<script>alert(1)</script>" in tags.text
    assert "Answered by: simulator <b>" in tags.text
    for part in ("tool-3", "leak-0", "worse than the pinned run", METRIC):
        assert part in tags.text
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
