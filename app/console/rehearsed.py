"""The game days here, by scenario and by the runbook's page that they followed. A sum is never better than its newest run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from app.console import formats
from app.console.gamedays import Report
from app.console.readiness.answers import OLD
from app.oncall.runbook.pages import Page

_WORST = ("bad", "warn", "good")


@dataclass(frozen=True, slots=True)
class Here:
    """The newest judged game day of each scenario that followed one page, the worst first; never empty."""

    runs: Sequence[Report]

    @property
    def contained(self) -> Report | None:
        """The slowest run that contained the fault; None where none did, or where a promise was not kept."""
        good = [one for one in self.runs if one.kind == "good" and one.played.contained is not None]
        kept = all(one.kind == "good" for one in self.runs)
        return max(good, key=lambda one: one.played.contained or 0.0) if good and kept else None

    @property
    def newest(self) -> date:
        """The day of the newest run."""
        return max(one.played.begun_at for one in self.runs).date()

    def outdoes(self, page: Page) -> bool:
        """Whether it is no older than the page's own recorded run, so that it is the one that counts."""
        return page.rehearsed is None or self.newest >= page.rehearsed[0]


def newest(days: Sequence[Report]) -> list[Report]:
    """The newest game day of each scenario; one that was not judged gives way to an older judged one. ``days``: newest first."""
    found: dict[str, Report] = {}
    for one in days:
        known = found.setdefault(one.played.scenario, one)
        if known.kind == "none" and one.kind != "none":
            found[one.played.scenario] = one
    return list(found.values())


def commands(days: Sequence[Report]) -> tuple[int, int]:
    """How many of the runbook's commands worked as they stand, of how many, in the newest game day of each scenario."""
    counted = [one.commands for one in newest(days)]
    return sum(works for works, _ in counted), sum(ran for _, ran in counted)


def by_page(days: Sequence[Report]) -> dict[str, Here]:
    """The newest judged game days, by the name of the page that they followed, without its ending."""
    found: dict[str, list[Report]] = {}
    for one in newest(days):
        if one.kind != "none" and one.page:
            found.setdefault(one.page, []).append(one)
    return {page: Here(sorted(runs, key=lambda one: _WORST.index(ending(one)[0]))) for page, runs in found.items()}


def ending(one: Report) -> tuple[str, str]:
    """The mark and the words of how a judged game day ended for the page that it followed."""
    works, ran = one.commands
    left = f", {works} of {ran} commands worked" if works < ran else ""
    if one.kind == "bad":
        return "bad", f"promise not kept here{left}"
    if one.played.contained is None:
        return "warn", f"not contained here{left}"
    return "warn" if left else "good", f"contained here in {formats.seconds(one.played.contained)}{left}"


@dataclass(frozen=True, slots=True)
class Proof:
    """How far the incidents' pages lead a person who did not write them.

    ``fresh``: pages whose commands contained their fault within the days that a rehearsal counts, ``here`` of them on this
    installation; a page whose newest run did not is left out, and named in ``failed``. ``slowest``: minutes, of the page with
    this title. ``works`` of ``commands`` worked as they stand, as `commands` counts them. ``tried``: pages that an outsider
    followed, the newest on ``tried_on``.
    """

    pages: int
    fresh: int
    here: int
    slowest: float
    title: str
    works: int
    commands: int
    tried: int
    tried_on: date | None
    failed: Sequence[str] = ()


def proof(incidents: Sequence[Page], days: Sequence[Report]) -> Proof:
    """From the pages' own dates and from this installation's game days, newest first."""
    today, here = datetime.now(UTC).date(), by_page(days)
    held = contained(incidents, here)
    recent = [title for title, (day, _) in held.items() if day + OLD >= today]
    minutes = {title: each for title, (_, each) in held.items()}
    title = max(minutes, key=lambda each: minutes[each], default="")
    own = sum(page.title in held and counts(page, here) for page in incidents)
    works, ran = commands(days)
    tried = [page.tried[0] for page in incidents if page.tried]
    return Proof(
        len(incidents), len(recent), own, minutes.get(title, 0.0), title, works, ran, len(tried), max(tried, default=None),
        uncontained(incidents, here),
    )  # fmt: skip


def counts(page: Page, here: Mapping[str, Here]) -> bool:
    """Whether a game day here counts for a page, rather than the run that its text names."""
    run = here.get(page.name.removesuffix(".md"))
    return run is not None and run.outdoes(page)


def contained(incidents: Collection[Page], here: Mapping[str, Here]) -> dict[str, tuple[date, float]]:
    """Day and minutes of the newest run of each page, by its title, where that run contained the fault."""
    found = {page.title: page.rehearsed for page in incidents if page.rehearsed and not counts(page, here)}
    for page in incidents:
        run = here[page.name.removesuffix(".md")].contained if counts(page, here) else None
        if run is not None:
            found[page.title] = run.played.begun_at.date(), (run.played.contained or 0.0) / 60
    return found


def uncontained(incidents: Collection[Page], here: Mapping[str, Here]) -> list[str]:
    """The names of pages whose newest game day here did not contain their fault, or broke its promise."""
    names = [page.name.removesuffix(".md") for page in incidents if counts(page, here)]
    return [name for name in names if here[name].contained is None]
