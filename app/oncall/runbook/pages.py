"""Reads the pages of the runbook (K1).

Their form stands in `runbook/README.md`; `faults` lists the places where a page leaves it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "runbook"
GENERATED = "alerts.md"
MANUAL = "How a page is written"  # a section for authors, not for the night
FORM = ("Confirm", "Contain", "Verify", "Fix", "Escalate", "If a step fails", "Practise")
LONGEST_UNREVIEWED = timedelta(days=180)
PLACEHOLDER = "FILL-IN"
BLANK = re.compile(r"(?<![-$\w])(?<!-X )\b[A-Z]{3,}\b")
_QUOTED = re.compile(r'"[^"]*"')
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"(#{1,3}) (.+)")
_REVIEWED = re.compile(r"^Reviewed: (\d{4}-\d\d-\d\d)$", re.MULTILINE)
_REHEARSED = re.compile(r"^Rehearsed: (\d{4}-\d\d-\d\d), contained in (\d+\.\d) minutes$", re.MULTILINE)
_TRIED = re.compile(r"^Tried: (\d{4}-\d\d-\d\d), contained in (\d+\.\d) minutes$", re.MULTILINE)
_GO_TO = re.compile(r"Go to \[[^\]]*\]\(([a-z0-9-]+\.md(?:#[\w-]+)?)\)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page. ``expected``: lines that its output must hold, `…` for any text. ``block``: its block's number."""

    text: str
    expected: tuple[str, ...]
    block: int

    def missing(self, output: str) -> list[str]:
        """The expected lines that an output does not hold. Spaces of any number are equal."""
        lines = [" ".join(line.split()) for line in output.splitlines()]
        return [line for line in self.expected if not any(_pattern(line).search(one) for one in lines)]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the text up to the next heading of any level."""

    title: str
    level: int
    text: str

    @property
    def anchor(self) -> str:
        """Its address within the page."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).strip().replace(" ", "-")

    @property
    def words(self) -> str:
        """Further words by which people search for it, with commas between them."""
        return self._line("Words")

    @property
    def errors(self) -> str:
        """The codes and sentences of the service's own errors that lead here, with commas between them."""
        return self._line("Errors")

    def _line(self, name: str) -> str:
        found = re.search(rf"^{name}: (.*)$", _FENCED.sub("", self.text), re.MULTILINE)
        return found[1] if found else ""

    @property
    def alerts(self) -> tuple[str, ...]:
        """The alerts that lead here."""
        return tuple(re.findall(r"`(\w+)`", " ".join(re.findall(r"^Alerts: (.*)$", self.text, re.MULTILINE))))

    @property
    def leads_to(self) -> str:
        """The place of the runbook behind ``Go to``, such as `objectives.md#availability`; empty without one."""
        found = _GO_TO.search(self.text)
        return found[1] if found else ""

    @property
    def condition(self) -> str:
        """The paragraph that says when its commands help, or that people are to be called; on one line, else empty."""
        found = re.search(
            r"^(?:Only (?:if|after)|Call level 2) .+?(?=\n\n|\Z)", _FENCED.sub("", self.text), re.MULTILINE | re.DOTALL
        )
        return " ".join(found[0].split()) if found else ""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of its console blocks, in order."""
        blocks = re.findall(r"```console\n(.*?)```", self.text, re.DOTALL)
        return tuple(command for number, block in enumerate(blocks) for command in _commands(block, number))


@dataclass(frozen=True, slots=True)
class Page:
    """One page. ``sections``: the first is the title's."""

    name: str
    text: str
    sections: tuple[Section, ...]

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCED.sub("", self.text)

    @property
    def title(self) -> str:
        """Its heading."""
        return self.sections[0].title

    @property
    def is_incident(self) -> bool:
        """Whether it is in the form of an incident."""
        return bool(self.paragraph("Fault"))

    @property
    def reviewed(self) -> date | None:
        """The day on which a person last read it against the service."""
        found = _REVIEWED.search(self.prose)
        return date.fromisoformat(found[1]) if found else None

    @property
    def rehearsed(self) -> tuple[date, float] | None:
        """The day on which its commands last contained its fault, and the minutes they took."""
        found = _REHEARSED.search(self.prose)
        return (date.fromisoformat(found[1]), float(found[2])) if found else None

    @property
    def tried(self) -> tuple[date, float] | None:
        """The day on which a person who did not build the service contained its fault with it alone, and the minutes."""
        found = _TRIED.search(self.prose)
        return (date.fromisoformat(found[1]), float(found[2])) if found else None

    def paragraph(self, name: str) -> str:
        """The text of a paragraph that begins with this name in bold, on one line; empty where there is none."""
        found = re.search(rf"^\*\*{name}\.\*\* (.+?)(?:\n\n|\Z)", self.prose, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def section(self, title: str) -> Section:
        """The section of this title. Raises KeyError."""
        for section in self.sections:
            if section.title == title:
                return section
        raise KeyError(f"{self.name} has no section {title!r}")


def read(folder: Path = FOLDER) -> list[Page]:
    """Read all pages, the first one first."""
    paths = sorted(folder.glob("*.md"), key=lambda path: (path.name != "README.md", path.name == GENERATED, path.name))
    return [page_of(path.name, path.read_text(encoding="utf-8")) for path in paths]


def by_the_drill(alert: str, folder: Path = FOLDER) -> str:
    """Words on a page that a drill raised: not by its alert, and the alert's own time, as the generated page has it."""
    own = _own_time(alert, (folder / GENERATED).read_text(encoding="utf-8"))
    return f"by the drill, not by {alert}" + (f": {own}" if own else "")


def _own_time(alert: str, page: str) -> str:
    _, _, rest = page.partition(f"### {alert}\n")
    written = rest.partition("\n### ")[0]
    if lasts := re.search(r"^Rule, for (\d+)([mh]):", written, re.MULTILINE):
        return f"its own rule has to hold for {lasts[1]} {'min' if lasts[2] == 'm' else 'h'} first"
    if "errors that this allows" in written:
        return "its own rule compares the last hours with the last minutes"
    posted = re.search(r"^Posted by the service (when .*?) \(", written, re.MULTILINE)
    return f"the service itself sends it {posted[1]}" if posted else ""


def page_of(name: str, text: str) -> Page:
    """Read one page."""
    return Page(name, text, tuple(_sections(text)))


def faults(page: Page) -> list[str]:
    """The places where a page leaves its form, each as a sentence."""
    found = [] if page.reviewed or page.name == GENERATED else ["no line `Reviewed: YYYY-MM-DD`"]
    if not page.is_incident:
        return found
    found += (
        []
        if page.rehearsed or "\nRehearsed: not yet\n" in page.prose
        else ["no line `Rehearsed: YYYY-MM-DD, contained in N.N minutes`; `make runbook` updates it"]
    )
    found += [] if page.sections[0].words else ["no line `Words: …` with the words that people search by"]
    found += [] if page.paragraph("Symptom") else ["no paragraph `**Symptom.** …`"]
    titles = [section.title for section in page.sections if section.title in FORM]
    if titles != list(FORM):
        return [*found, f"the sections are {', '.join(titles)}; they have to be {', '.join(FORM)}, in this order"]
    found += [f"{title} is empty" for title in FORM if not page.section(title).text.strip()]
    found += [f"{title} has no command" for title in ("Confirm", "Contain", "Verify") if not page.section(title).commands]
    if not any(command.expected for command in page.section("Confirm").commands):
        found.append("no command in Confirm is followed by the line of its output that shows the fault")
    if not any(command.expected for command in page.section("Verify").commands):
        found.append("no command in Verify is followed by the line of its output that shows the containment")
    if {command.block for command in page.section("Practise").commands} != {0, 1}:
        found.append("Practise needs two blocks: one makes the fault in a demo, one ends it")
    if not re.search(r"^- ", page.section("If a step fails").text, re.MULTILINE):
        found.append("If a step fails has no list")
    return found


def blanks(command: str) -> list[str]:
    """The words in capitals for which a value has to be written before the command is run."""
    return list(dict.fromkeys(BLANK.findall(_QUOTED.sub("", command))))


def overdue(pages: list[Page], today: date) -> list[str]:
    """A sentence for each page that no person has reviewed for too long, with what to do."""
    return [
        f"runbook/{page.name} was reviewed on {page.reviewed}, more than {LONGEST_UNREVIEWED.days} days before {today}: read it,"
        " run `make runbook`, mend it, and set the day in its line `Reviewed:`"
        for page in pages
        if page.reviewed and page.reviewed + LONGEST_UNREVIEWED < today
    ]


def placeholders(pages: list[Page]) -> list[str]:
    """A sentence for each line that still holds a placeholder."""
    return [
        f"runbook/{page.name}:{number}: replace {PLACEHOLDER} with your own value"
        for page in pages
        for number, line in enumerate(page.text.splitlines(), start=1)
        if line.startswith("|") and PLACEHOLDER in line
    ]


def _sections(text: str) -> Iterator[Section]:
    title, level, lines, fenced = "", 0, list[str](), False
    for line in text.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading:
            if level:
                yield Section(title, level, "".join(lines))
            title, level, lines = heading[2].strip(), len(heading[1]), []
        else:
            lines.append(line)
    yield Section(title, level, "".join(lines))


def _commands(block: str, number: int) -> Iterator[Command]:
    text, expected = "", list[str]()
    for line in filter(None, map(str.strip, block.splitlines())):
        if line.startswith("$ "):
            if text:
                yield Command(text, tuple(expected), number)
            text, expected = line[2:], []
        else:
            expected.append(line)
    if text:
        yield Command(text, tuple(expected), number)


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(" ".join(part.split())) for part in line.split("…")))
