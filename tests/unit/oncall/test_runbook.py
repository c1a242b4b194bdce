"""Pages of the runbook: their form, the search, the twin; without a service (K1, K4)."""

import re
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import run

from app.oncall.runbook import pages, twin
from app.oncall.runbook.pages import Command, Page, page_of
from app.oncall.runbook.search import SURE, find

RUNBOOK = pages.read()
INCIDENT = next(page for page in RUNBOOK if page.name == "latency.md")

# Titles and phrases of public incident reports and issues, each with the pages that help.
PHRASES = [
    ("Elevated error rates for ChatGPT and Platform API", "provider-outage"),
    ("Elevated errors on Claude Sonnet 4.6 and Claude Haiku 4.5", "provider-outage"),
    ("529 overloaded sustained 5+ min", "provider-outage"),
    ("intermittent 5xx responses before broad failure", "provider-outage"),
    ("401/403 on all requests", "provider-outage keys"),
    ("Degraded API performance", "provider-outage latency"),
    ("All requests timing out", "latency"),
    ("user requests appeared to stall for 30 seconds", "latency"),
    ("The tool is notably slower than before", "latency"),
    ("Sudden spike in 429 responses across multiple API keys", "rate-limits"),
    ("Rate limiting cascades", "rate-limits"),
    ("Database Connection Pool Exhaustion", "postgres-away"),
    ("PG::ConnectionBad: FATAL: the database system is shutting down", "postgres-away"),
    ("FATAL: sorry, too many clients already", "postgres-away"),
    ("All queries on a critical PostgreSQL table were blocked by a database migration", "postgres-away"),
    ("fail closed when production rate-limit Redis is unavailable", "valkey-away"),
    ("generation_quota fails OPEN on Redis error", "valkey-away"),
    ("Redis Cluster, TTL preservation failed", "valkey-away"),
    ("A bad config took down both Facebook and Instagram", "rollback"),
    ("A configuration change made builds start to fail. Manual rollback broke.", "rollback"),
    ("new version is not as good as the previous version", "rollback"),
    ("429 Budget has been exceeded!", "budget-exhausted"),
    ("BudgetExceededError uses stale spend while spend is below max_budget", "budget-exhausted cost-spike"),
    ("MAJOR BILLING ISSUE when using the pro model with API key", "cost-spike"),
    ("unattended job with no cost guardrails, $411 in unintended charges", "cost-spike"),
    ("Hosted source code repo contained credentials", "keys"),
    ("Logging Captures Sensitive LLM Outputs - Data Leak", "personal-data"),
    ("prompt content logged at INFO level", "personal-data"),
    ("LLM stream events are logged to disk in plaintext", "personal-data"),
    ("did not respond with valid JSON", "malformed-output"),
    ("Structured output parsing fails silently with smaller models", "malformed-output"),
    ("Sycophancy in GPT-4o: what happened", "eval-drift"),
    ("Model quality degradation since Jan 8", "eval-drift"),
    ("it just feel dumber, what used to work now don't", "eval-drift"),
    ("System prompt injection via role-play template", "injection-direct injection-document injection-tool"),
    ("System Prompt Leakage", "injection-direct injection-document injection-tool"),
    ("Elevated build queue times", "jobs"),
    ("High error rates fail to report to status.claude.com", "provider-outage"),
    ("Anthropic API Error: 500 and 529 HTTP Status Codes", "provider-outage"),
    ("500 Error storm", "provider-outage"),
    ("Anthropic API Error: Request Failed", "provider-outage"),
    ("Degraded performance for ChatGPT", "provider-outage latency"),
    ("Increased errors for ChatGPT", "provider-outage"),
    ("Elevated errors on ChatGPT vision", "provider-outage"),
]
EXACT = [
    ("OctantBreakerOpen", "runbook/provider-outage.md"),
    ("OctantProviderDenied", "runbook/provider-outage.md#our-key-or-our-quota"),
    ("OctantFirstTokenBurnsFast", "runbook/objectives.md#first-token"),
    ("OctantKillSwitchOn", "runbook/kill-switch.md#something-is-still-stopped"),
    ("OctantEvalDrift", "runbook/eval-drift.md"),
    ("budget_exceeded", "runbook/budget-exhausted.md"),
    ("provider_rate_limited", "runbook/rate-limits.md"),
    ("output_invalid", "runbook/malformed-output.md"),
    ("ProviderTimeout", "runbook/latency.md"),
]


def found(words: str) -> list[str]:
    """The names of the pages, best first."""
    return list(dict.fromkeys(topic.page.name.removesuffix(".md") for _, topic in find(RUNBOOK, words)))


@pytest.mark.parametrize(("phrase", "wanted"), PHRASES, ids=[phrase for phrase, _ in PHRASES])
def test_people_find_the_page_by_their_own_words(phrase: str, wanted: str) -> None:
    """It is among the first three."""
    assert set(wanted.split()) & set(found(phrase)[:3]), found(phrase)[:5]


def test_the_first_page_is_the_right_one_for_most_phrases() -> None:
    """33 of 37 when it was written, then 38 of 44, on titles that were not chosen for it."""
    first = [found(phrase)[0] in wanted.split() for phrase, wanted in PHRASES]
    assert sum(first) >= 0.85 * len(first)


@pytest.mark.parametrize("vendor", ["anthropic", "OpenAI", "Azure", "vllm", "Groq", "our-gpus"])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [("{} is down", "provider-outage"), ("{} fails", "provider-outage"), ("errors of {}", "provider-outage"),
     ("is {} down?", "provider-outage"), ("{} is slow", "latency"), ("{} 429 too many requests", "rate-limits"),
     ("{} insufficient quota", "rate-limits"), ("malformed JSON from {}", "malformed-output")],
)  # fmt: skip
def test_it_does_not_matter_which_provider_is_at_fault(vendor: str, words: str, wanted: str) -> None:
    """The pages name one as an example. Once "openai is down" led to the page of Valkey."""
    score, topic = find(RUNBOOK, words.format(vendor), ["our-gpus"])[0]
    assert topic.page.name == f"{wanted}.md"
    assert score >= SURE


@pytest.mark.parametrize(("name", "address"), EXACT)
def test_an_alert_a_code_or_a_type_leads_to_its_place(name: str, address: str) -> None:
    assert find(RUNBOOK, name)[0][1].address == address


def test_a_slip_of_the_finger_still_finds_the_page() -> None:
    assert found("databse conection")[0] == "postgres-away"
    assert found("xyzzy") == []


def test_the_command_needs_no_service_no_store_and_no_valid_setting(tmp_path: Path) -> None:
    """It names the page with its first commands; nothing of a store or a network is imported."""
    env = {"PATH": "/nowhere", "OCTANT_ENVIRONMENT": "not an environment", "OCTANT_DATABASE_URL": "nonsense"}
    ran = run(env, "runbook", "anthropic", "is", "down")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("A model provider is failing\nrunbook/provider-outage.md\n")
    assert "$ octant kill provider anthropic" in ran.stdout
    assert "simulate" not in ran.stdout, "a practice is no step at night"
    assert run(env, "runbook", "xyzzy").returncode == 1
    assert run(env, "runbook").stdout.count("runbook/") >= 20
    assert run(env, "runbook", "--whole", "latency").stdout.startswith("# Answers are slow")
    assert run(env, "runbook", "--html", str(tmp_path / "new")).stdout.strip() == str(tmp_path / "new" / "index.html")


def test_the_search_imports_neither_stores_nor_frameworks() -> None:
    """So it starts within half a second and works when these are broken."""
    code = (
        "import sys; sys.argv = ['octant', 'runbook', 'redis']\n"
        "from app.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "heavy = {'redis', 'sqlalchemy', 'fastapi', 'openai', 'anthropic', 'markdown_it'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("Reviewed: 2026", "Seen: 2026"), "Reviewed"),
        (("Rehearsed:", "Done:"), "Rehearsed"),
        (("Words:", "Terms:"), "Words"),
        (("**Symptom.**", "**Sign.**"), "Symptom"),
        (("## Contain", "## Stop it"), "the sections are"),
        (("…call_…\n", ""), "shows the fault"),
        (("…ok…\n", ""), "shows the containment"),
        (("```console\n$ octant simulate clear\n```", ""), "two blocks"),
    ],
)
def test_a_page_out_of_form_is_named_with_what_is_missing(change: tuple[str, str], fault: str) -> None:
    assert pages.faults(INCIDENT) == []
    assert change[0] in INCIDENT.text
    found = pages.faults(page_of("x.md", INCIDENT.text.replace(*change)))
    assert any(fault in one for one in found), found


def test_expected_output_may_have_gaps_and_any_number_of_spaces() -> None:
    command = Command("x", ("anthropic/…open…", "…ok…"), 0)
    assert command.missing("a\nanthropic/claude   open   rest\n  call_1   ok  3\n") == []
    assert command.missing("anthropic/claude closed\nok") == ["anthropic/…open…"]


def test_a_page_that_was_not_reviewed_for_180_days_is_named_with_what_to_do() -> None:
    page = page_of("x.md", "# X\n\nReviewed: 2026-11-26\n")
    assert pages.overdue([page], date(2027, 5, 25)) == []
    (said,) = pages.overdue([page], date(2027, 5, 26))
    assert said.startswith("runbook/x.md was reviewed on 2026-11-26")
    assert "make runbook" in said


class Links(HTMLParser):
    """Ids, and addresses of every attribute that loads or leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name == "href":
                (self.leads if tag == "a" else self.loads).append(value or "")
            elif name in ("src", "srcset", "data"):
                self.loads.append(value or "")


def test_the_twin_is_one_file_that_needs_no_other(tmp_path: Path) -> None:
    """No script, font or picture is loaded; every link leads into the file or to an address; a phone is not a small desktop."""
    text = twin.write(RUNBOOK, tmp_path).read_text()
    links = Links(text)
    assert links.loads == []
    assert not re.search(r"<script|@import|url\(", text)
    assert [lead for lead in links.leads if not lead.startswith(("#", "https://", "http://127.0.0.1"))] == []
    assert [lead for lead in links.leads if lead.startswith("#") and lead[1:] not in links.ids] == []
    assert {page.name.removesuffix(".md") for page in RUNBOOK} <= links.ids
    assert 'name="viewport" content="width=device-width' in text
    assert "flowchart" not in text, "the diagram stands as text"
    assert "gateway &lt;---" in text


def test_words_of_a_page_cannot_become_markup(tmp_path: Path) -> None:
    hostile = Page("x.md", "# <b>X</b>\n\n<script>alert(1)</script>\n", page_of("x.md", "# <b>X</b>\n").sections)
    text = twin.write([hostile], tmp_path).read_text()
    assert "<script" not in text
    assert "<b>" not in text
