"""The tour: for each question of the readiness review a page to open and a command. `docs/tour.md` has the same."""

from dataclasses import dataclass

from app.console.navigation import PAGES
from app.console.readiness.review import CHECKS


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop. ``path``: the page that shows the answer; ``try_it``: what ``command`` does.

    ``more``: a second place, of an action or of a page, and the words of its button; empty where there is none.
    """

    axis: str
    path: str
    try_it: str
    command: str
    more: tuple[str, str] = ("", "")

    @property
    def place(self) -> str:
        """The title of the page that ``path`` leads to."""
        return next(page.title for page in PAGES if page.path == self.path.partition("?")[0])

    @property
    def question(self) -> str:
        """The buyer's question."""
        return next(question for axis, question, _, _ in CHECKS if axis == self.axis)

    @property
    def acts(self) -> bool:
        """Whether the second place is an action, which not everyone may take."""
        return self.more[0].startswith("/console/do/")


STOPS = (
    Stop("Evals", "/console/evals", "Run the gate that every change has to pass:", "make eval"),
    Stop(
        "Observability",
        "/console?range=1h",
        "Print the newest calls:",
        "octant calls --since 15m --limit 5",
        ("/console/calls?range=1h", "Open Calls"),
    ),
    Stop(
        "Recovery",
        "/console/gameday",
        "Take a provider away here, and watch Overview:",
        "octant simulate outage anthropic; sleep 60; octant simulate clear",
        ("/console/do/drill-gameday?scenario=provider-outage", "Play an outage…"),
    ),
    Stop(
        "Cost",
        "/console/budgets",
        "Print the worst case with the code that enforces it:",
        "octant budget worst-case",
        ("/console/do/drill-gameday?scenario=rogue-user", "Play a rogue user…"),
    ),
    Stop(
        "Security",
        "/console/security",
        "Attack a service whose model obeys every injection:",
        "make injection",
        ("/console/do/drill-gameday?scenario=key-leak", "Play a leaked key…"),
    ),
    Stop(
        "On-call",
        "/console/oncall",
        "Check the rotation for hours without a person:",
        "octant oncall check",
        ("/console/do/oncall-page", "Send a test page…"),
    ),
    Stop(
        "Rollback",
        "/console/releases",
        "Go back to the release before:",
        'octant rollback --reason "the tour"',
        ("/console/do/rollback", "Roll back…"),
    ),
    Stop(
        "Runbook",
        "/console/runbook?q=answers+are+slow",
        "Search for a symptom of your own, with every store away:",
        "octant runbook answers are slow",
    ),
)
