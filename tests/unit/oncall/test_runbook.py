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
# The words of tired people and of clients' libraries, each with the pages or sections that help: 18 of a trial in which half led
# astray, and 34 written before any of them was tried.
SAID = [
    ("someone pasted our api key on github", "keys#a-key-has-leaked"),
    ("JSONDecodeError expecting value", "malformed-output"),
    ("context_length_exceeded", "callers"),
    ("prompt is too long: 210000 tokens", "callers"),
    ("AI says weird racist things", "eval-drift injection-direct kill-switch"),
    ("half the users get new prompt and it sucks, undo", "rollback canary"),
    ("how do i stop all this now", "kill-switch"),
    ("could not connect to server: Connection refused port 5432", "postgres-away"),
    ("answers cut off in the middle", "provider-outage"),
    ("CPU 100% workers restarting OOMKilled", "README observability latency"),
    ("customer sees someone elses order", "personal-data"),
    ("wake up everything is down help", "README"),
    ("This API key is not valid", "keys#many-wrong-keys keys"),
    ("pager is not ringing", "paging#pages-are-not-sent paging"),
    ("who do i call", "contacts paging incidents README"),
    ("everything on fire", "README kill-switch"),
    ("costs doubled since yesterday", "cost-spike"),
    ("german answers are rubbish", "eval-drift"),
    ("openai.RateLimitError: Error code: 429 - You exceeded your current quota", "rate-limits provider-outage"),
    ("anthropic.APIStatusError overloaded_error", "provider-outage"),
    ("requests.exceptions.ReadTimeout", "latency"),
    ("redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379", "valkey-away"),
    ("sqlalchemy.exc.OperationalError server closed the connection unexpectedly", "postgres-away"),
    ("psycopg.errors.DiskFull could not extend file", "postgres-away"),
    ("pydantic ValidationError in model answer", "malformed-output"),
    ("the bot tells people to visit a phishing site", "injection-direct injection-document injection-tool"),
    ("model ignores its instructions and reveals its prompt", "injection-direct"),
    ("someone posted our secret token on twitter", "keys"),
    ("customer says the chatbot gave refund advice that is wrong", "eval-drift"),
    ("since the deploy this morning answers are worse", "rollback eval-drift"),
    ("bill is three times as high as last week", "cost-spike"),
    ("a user burns all the money of his company", "cost-spike cost-caps budget-exhausted"),
    ("how to turn off the chatbot right now", "kill-switch"),
    ("batch jobs stuck for two hours", "jobs"),
    ("webhooks do not arrive", "jobs"),
    ("no alerts since yesterday, is monitoring dead", "observability paging"),
    ("grafana shows no data", "observability"),
    ("phone numbers of customers in the logs", "personal-data"),
    ("i got paged, what now", "paging README"),
    ("first word takes ten seconds", "latency objectives"),
    ("spanish answers are bad", "eval-drift"),
    ("new canary version is failing for some users", "canary rollback"),
    ("who has the pager tonight", "paging contacts"),
    ("insufficient_quota billing hard limit reached", "rate-limits provider-outage"),
    ("connection reset by peer from api.openai.com", "provider-outage"),
    ("SSL certificate problem with anthropic", "provider-outage"),
    ("tenant says they are locked out", "budget-exhausted"),
    ("poisoned help article", "injection-document"),
    ("all customers get 503", "provider-outage README"),
    ("model_not_found gpt-6", "provider-outage callers keys"),
    ("user pasted his credit card in the chat", "personal-data"),
    ("memory keeps growing until the process dies", "README latency observability"),
]
NOTHING = [
    "weather in Paris tomorrow",
    "lunch menu",
    "who is ada lovelace",
    "hello",
    "asdf",
    "the new office coffee machine",
    "acme",
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


@pytest.mark.parametrize(("words", "wanted"), SAID, ids=[words for words, _ in SAID])
def test_what_a_tired_person_says_or_pastes_leads_to_the_page_that_helps(words: str, wanted: str) -> None:
    """The first place, or one of the next two."""
    places = [topic.address.removeprefix("runbook/").replace(".md", "") for _, topic in find(RUNBOOK, words)[:3]]
    assert set(wanted.split()) & {*places, *(place.partition("#")[0] for place in places)}, places


def test_the_first_place_is_the_right_one_for_most_words_of_tired_people() -> None:
    """51 of 52 when it was written; 27 of 35 that were written after that, and are not here."""
    firsts = [
        (find(RUNBOOK, words)[0][1].address.removeprefix("runbook/").replace(".md", ""), wanted.split()) for words, wanted in SAID
    ]
    right = [first in wanted or first.partition("#")[0] in wanted for first, wanted in firsts]
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.parametrize("words", NOTHING)
def test_words_of_something_else_lead_to_no_page_for_sure(words: str) -> None:
    assert all(score < SURE for score, _ in find(RUNBOOK, words)[:1])


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
    assert "  fill in PROVIDER: octant kill provider PROVIDER" in ran.stdout
    assert "Words in capitals: runbook/README.md" in ran.stdout
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
        (("all calls…none slow…\n", ""), "shows the containment"),
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
    assert "operator: octant -&gt; kill switch" in text


def test_the_manual_for_authors_is_read_on_a_screen_and_not_printed() -> None:
    """A printed runbook has thirty pages at most, for the night."""
    apart = re.findall(r'<section class="manual">(.*?)</section>', twin.document(RUNBOOK), re.DOTALL)
    assert [one.count("<h2") for one in apart] == [1]
    assert "A page of an incident has this form" in apart[0]
    assert "/console" not in apart[0], "what follows in the file is no part of it"
    assert re.search(r"@media print \{.*\.manual.*\{ display: none; \}", twin.STYLE.read_text(), re.DOTALL)


def test_words_for_a_search_are_no_lines_of_the_printed_page() -> None:
    """On a screen they help, and a sample of a page keeps its own."""
    text = twin.document(RUNBOOK)
    listed = sum(bool(section.words) for page in RUNBOOK for section in page.sections)
    assert text.count('<span class="words">Words: ') == listed > 20
    assert "\nWords: outage, 503, down\n" in text
    assert ".words { display: none; }" in text.partition("@media print")[2]


def test_words_of_a_page_cannot_become_markup(tmp_path: Path) -> None:
    hostile = Page("x.md", "# <b>X</b>\n\n<script>alert(1)</script>\n", page_of("x.md", "# <b>X</b>\n").sections)
    text = twin.write([hostile], tmp_path).read_text()
    assert "<script" not in text
    assert "<b>" not in text
