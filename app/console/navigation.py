"""The pages, in the order of the navigation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """``key`` opens it after `g`. ``about``: one line for the palette. ``first``: a phone's bar has it without "More"."""

    name: str
    title: str
    key: str
    about: str
    first: bool = False

    @property
    def path(self) -> str:
        """Its address."""
        return f"/console/{self.name}" if self.name else "/console"


OVERVIEW = Page("", "Overview", "o", "How the service is doing now", first=True)
CALLS = Page("calls", "Calls", "c", "Find calls, follow them live", first=True)
BUDGETS = Page("budgets", "Budgets", "b", "Caps, spending, the worst case")
EVALS = Page("evals", "Evals", "e", "Suites, scores, candidates")
RELEASES = Page("releases", "Releases", "r", "What is live, canary, roll back")
ONCALL = Page("oncall", "On-call", "n", "Who has the pager, incidents", first=True)
SECURITY = Page("security", "Security", "s", "Threats, keys, operators' log")
RUNBOOK = Page("runbook", "Runbook", "k", "What to do, page by page", first=True)
READINESS = Page("readiness", "Readiness", "d", "Eight questions, answered with evidence")
GAMEDAY = Page("gameday", "Game days", "y", "Rehearsed faults and how they went")

PAGES = (OVERVIEW, CALLS, BUDGETS, EVALS, RELEASES, ONCALL, SECURITY, RUNBOOK, READINESS, GAMEDAY)
