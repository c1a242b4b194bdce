"""The tour: eight stops in five minutes, one for each question of the readiness review. `docs/tour.md` has the same stops."""

from dataclasses import dataclass

from app.console.navigation import PAGES
from app.console.readiness.review import CHECKS


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop. ``path``: the place in the console; ``see``: what is there; ``try_it``: what ``command`` does.

    ``act``: the page that does the same without a terminal, and the words of its button; empty where there is none.
    """

    axis: str
    path: str
    see: str
    try_it: str
    command: str
    act: tuple[str, str] = ("", "")

    @property
    def place(self) -> str:
        """The title of the page that ``path`` leads to."""
        return next(page.title for page in PAGES if page.path == self.path.partition("?")[0])

    @property
    def question(self) -> str:
        """The buyer's question."""
        return next(question for axis, question, _, _ in CHECKS if axis == self.axis)


STOPS = (
    Stop(
        "Evals",
        "/console/evals",
        "Each suite's newest run against its pinned baseline, by failure mode, with the cases that flipped.",
        "Run the gate that every change has to pass.",
        "make eval",
    ),
    Stop(
        "Observability",
        "/console/calls?range=1h",
        "Every call with its latency, tokens and cost. Open one: its attempts, its redacted prompt and answer, its release.",
        "Print the same in a terminal.",
        "octant calls --since 15m --limit 5",
    ),
    Stop(
        "Recovery",
        "/console/gameday",
        "Each fault that was played, and how soon it was seen, paged, contained and over. On Overview, its strip turns red.",
        "Play it as a game day, on a service of its own; or take a provider away here, watch the page, and give it back.",
        "octant simulate outage anthropic; sleep 60; octant simulate clear",
        ("/console/do/drill-gameday?scenario=provider-outage", "Play the outage…"),
    ),
    Stop(
        "Cost",
        "/console/budgets",
        "The caps of each tenant, what is held and spent, and the most that one user can spend in a day.",
        "Print the worst case with the code that enforces it.",
        "octant budget worst-case acme",
    ),
    Stop(
        "Security",
        "/console/security",
        "Each threat with its control and its test, the keys with their ages, and who did what.",
        "Attack a service whose model obeys every injection.",
        "make injection",
    ),
    Stop(
        "On-call",
        "/console/oncall",
        "The person with the pager, now and next, the calendar, open pages and incidents, and how soon pages were acknowledged.",
        "Check the rotation for hours without a person.",
        "octant oncall check",
    ),
    Stop(
        "Rollback",
        "/console/releases",
        "The way back with its rehearsed seconds. “Roll back” shows its effect first; every worker follows within five seconds.",
        "Go back to the release before; `octant release activate` puts the newest live again.",
        'octant rollback --reason "the tour"',
        ("/console/do/rollback", "Roll back…"),
    ),
    Stop(
        "Runbook",
        "/console/runbook?q=answers+are+slow",
        "A symptom leads to its page, and the page begins with its commands. The tests run them.",
        "Search for a symptom of your own, with every store away.",
        "octant runbook answers are slow",
    ),
)
