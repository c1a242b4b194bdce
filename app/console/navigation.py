"""The pages, in the order of the navigation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """``key`` opens it after `g`. ``about``: one line for the palette. ``first``: a phone's bar has it without "More".

    ``words``: the phrases by which people look for it, with commas between.
    """

    name: str
    title: str
    key: str
    about: str
    words: str
    first: bool = False

    @property
    def path(self) -> str:
        """Its address."""
        return f"/console/{self.name}" if self.name else "/console"


OVERVIEW = Page(
    "",
    "Overview",
    "o",
    "How the service is doing now",
    "home, status, health, healthy, is it healthy, now, dashboard, dashboards, metrics, charts, latency cost and errors",
    first=True,
)
CALLS = Page("calls", "Calls", "c", "Find calls, follow them live", "traces, log, logs, history", first=True)
REQUESTS = Page(
    "requests",
    "Requests",
    "q",
    "Requests of callers, each with all its calls",
    "slowest requests, number of requests, requests of callers, traffic",
)
BUDGETS = Page(
    "budgets",
    "Budgets",
    "b",
    "Caps, spending, the worst case",
    "cost, costs, money, spend, spending, tenant, tenants, user, limit, cap, price, bill",
)
EVALS = Page(
    "evals",
    "Evals",
    "e",
    "Suites, scores, candidates",
    "quality, prove quality, did a change make answers worse, make answers worse, make the answers worse, make it worse, made it"
    " worse, worse than before, tests, score, regression, judge",
)
RELEASES = Page(
    "releases",
    "Releases",
    "r",
    "What is live, canary, roll back",
    "deploy, version, prompt, canary, shadow, stopped, resume",
)
ONCALL = Page(
    "oncall",
    "On-call",
    "n",
    "Who has the pager, incidents",
    "pager, duty, who is on call, who do i call, who is called, who is called at 3 a.m., who is called at night,"
    " person is called, on call, rota, rotation, shift, incident, page, acknowledge",
    first=True,
)
SECURITY = Page(
    "security",
    "Security",
    "s",
    "Threats, keys, operators' log",
    "security, secrets, threat, injection, attack, hacked, am i hacked, breach, compromised",
)
RUNBOOK = Page(
    "runbook",
    "Runbook",
    "k",
    "What to do, page by page",
    "is there a runbook, runbook alone, help, symptom, emergency, alert",
    first=True,
)
READINESS = Page(
    "readiness",
    "Readiness",
    "d",
    "Eight questions, answered with evidence",
    "review, buyer, evidence, pdf, export, questions, tour, demo, introduction",
)
GAMEDAY = Page(
    "gameday",
    "Game days",
    "y",
    "Rehearsed faults and how they went",
    "rehearsed outage, what happens in an outage, half an hour, drill, rehearsal, chaos, exercise, fault",
)

PAGES = (OVERVIEW, CALLS, REQUESTS, BUDGETS, EVALS, RELEASES, ONCALL, SECURITY, RUNBOOK, READINESS, GAMEDAY)
