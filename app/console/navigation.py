"""The pages, in the order of the navigation, and the places and actions that the palette and the search box know besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from app.oncall.runbook.pages import read


@dataclass(frozen=True, slots=True)
class Page:
    """``key`` opens it after `g`. ``about``: one line for the palette. ``first``: a phone's bar has it without "More".

    ``words``: further words by which people look for it.
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
    "", "Overview", "o", "How the service is doing now", "home status health now dashboard latency errors", first=True
)
CALLS = Page("calls", "Calls", "c", "Find calls, follow them live", "requests traces log logs history", first=True)
BUDGETS = Page(
    "budgets",
    "Budgets",
    "b",
    "Caps, spending, the worst case",
    "cost costs money spend spending tenant tenants user limit cap price bill",
)
EVALS = Page("evals", "Evals", "e", "Suites, scores, candidates", "quality tests score regression judge")
RELEASES = Page(
    "releases",
    "Releases",
    "r",
    "What is live, canary, roll back",
    "rollback deploy version prompt shadow stop stopped kill switch resume",
)
ONCALL = Page(
    "oncall",
    "On-call",
    "n",
    "Who has the pager, incidents",
    "pager duty who is on call rota rotation shift incident page acknowledge",
    first=True,
)
SECURITY = Page(
    "security", "Security", "s", "Threats, keys, operators' log", "injection attack keys revoke threat audit log session"
)
RUNBOOK = Page("runbook", "Runbook", "k", "What to do, page by page", "help symptom emergency alert", first=True)
READINESS = Page(
    "readiness", "Readiness", "d", "Eight questions, answered with evidence", "review buyer evidence pdf export questions"
)
GAMEDAY = Page("gameday", "Game days", "y", "Rehearsed faults and how they went", "drill rehearsal outage chaos exercise fault")

PAGES = (OVERVIEW, CALLS, BUDGETS, EVALS, RELEASES, ONCALL, SECURITY, RUNBOOK, READINESS, GAMEDAY)


@dataclass(frozen=True, slots=True)
class Place:
    """A place or an action that is no page of the navigation.

    An empty ``href``: the browser does it, by ``name``. ``searched``: it is offered only for words that are typed.
    """

    title: str
    about: str
    words: str
    href: str = ""
    name: str = ""
    searched: bool = False


@cache
def _incidents() -> tuple[Place, ...]:
    """The runbook's pages of incidents, by the words of their symptoms; read once, as a deployment brings new ones."""
    return tuple(
        Place(page.title, "Runbook", page.sections[0].words, f"/console/runbook/{page.name.removesuffix('.md')}", searched=True)
        for page in read()
        if page.is_incident
    )


def places(providers: Sequence[str], *, may_act: bool) -> list[Place]:
    """What the palette offers besides the pages; the actions for those who may act. Each asks once more before it happens."""
    found = [
        Place("Tour", "Eight stops in five minutes", "demo guide walk introduction start", "/console/tour"),
        Place("Switch the theme", "Light or dark", "dark light mode colours appearance", name="theme"),
        *_incidents(),
    ]  # fmt: skip
    if not may_act:
        return found
    found += [
        Place("Roll back…", "Make the release before live again", "rollback revert undo bad release", "/console/do/rollback"),
        Place("Stop everything…", "The kill switch of all calls", "kill all emergency halt", "/console/do/kill-all"),
        *(
            Place(f"Stop provider {name}…", "The others answer", "kill disable", f"/console/do/kill-provider?name={name}")
            for name in providers
        ),
        Place("Send a test page…", "It calls the person on duty", "try paging phone rings", "/console/do/oncall-page"),
        Place("Play an outage…", "A game day on a service of its own", "drill rehearse provider outage chaos",
              "/console/do/drill-gameday?scenario=provider-outage"),
    ]  # fmt: skip
    return found
