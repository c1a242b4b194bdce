"""Matches found and labelled spans, and computes precision, recall and F1.

A labelled value counts as found if findings of a kind that fits cover every letter and digit of it: one digit left over is a
leak. A finding counts as false if it overlaps no labelled value of a kind that fits. So a card taken for a phone number is one
miss and one false finding. Punctuation at the edges, a bracket around an area code, counts for neither side.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# Labels of the generator -> our kinds that fit. Other labels (names, towns, titles, ages…) are not sought by rules.
STRUCTURED = {
    "EMAIL_ADDRESS": frozenset({"email"}),
    "PHONE_NUMBER": frozenset({"phone"}),
    "CREDIT_CARD": frozenset({"card"}),
    "IBAN_CODE": frozenset({"iban"}),
    "US_SSN": frozenset({"ssn", "national-id"}),
    "IP_ADDRESS": frozenset({"ip"}),
    "US_DRIVER_LICENSE": frozenset({"driver-license"}),
    "BIRTH_DATE": frozenset({"birth-date"}),
}
ADDRESSES = {"STREET_ADDRESS": frozenset({"address"})}
BORN = ("birth", "born")  # a date is one of birth where the sentence says so: "like that since 2/2/1972" has the label too


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence with its labels: start, end, entity."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    where: str
    template: str


@dataclass(slots=True)
class Tally:
    """Counts by entity; false findings are counted under our kind's entity."""

    found: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    misses: list[tuple[str, str]] = field(default_factory=list)
    falses: list[tuple[str, str]] = field(default_factory=list)

    def figures(self, entities: Iterable[str]) -> tuple[float, float, float]:
        """Precision, recall and F1 over ``entities``; 1 where there is nothing to find."""
        names = list(entities)
        found, missed, false = (sum(c[n] for n in names) for c in (self.found, self.missed, self.false))
        precision = found / (found + false) if found + false else 1.0
        recall = found / (found + missed) if found + missed else 1.0
        return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def tally(lines: Iterable[tuple[Line, Sequence[tuple[int, int, str]]]], entities: Mapping[str, frozenset[str]]) -> Tally:
    """Count the findings of ``entities`` in lines, each with its findings: start, end, kind."""
    counts = Tally()
    entity_of = {kind: entity for entity, kinds in entities.items() for kind in kinds}
    for line, findings in lines:
        labelled = [span for span in line.spans if span[2] in entities and _counts(line, span[2])]
        for start, end, entity in labelled:
            covered = {i for a, b, kind in findings if kind in entities[entity] for i in range(a, b)}
            if all(i in covered for i in range(start, end) if line.text[i].isalnum()):
                counts.found[entity] += 1
            else:
                counts.missed[entity] += 1
                counts.misses.append((entity, _shown(line.text, start, end)))
        for start, end, kind in findings:
            entity = entity_of.get(kind, "")
            fits = any(kind in entities[e] and start < b and a < end for a, b, e in labelled)
            if entity and not fits:
                counts.false[entity] += 1
                counts.falses.append((kind, _shown(line.text, start, end)))
    return counts


def tally_any(lines: Iterable[tuple[Line, Sequence[tuple[int, int, str]]]]) -> Tally:
    """Count by entity, by template and over all, whatever the kinds of the findings: false is what overlaps no labelled value."""
    counts = Tally()
    for line, findings in lines:
        covered = {i for a, b, _ in findings for i in range(a, b)}
        for start, end, entity in line.spans:
            whole = all(i in covered for i in range(start, end) if line.text[i].isalnum())
            for group in {entity, line.template, "all"}:
                (counts.found if whole else counts.missed)[group] += 1
            if not whole:
                counts.misses.append((entity, _shown(line.text, start, end)))
        for start, end, kind in findings:
            if kind != "address" and not any(start < b and a < end for a, b, _ in line.spans):
                for group in (line.template, "all"):
                    counts.false[group] += 1
                counts.falses.append((kind, _shown(line.text, start, end)))
    return counts


def _counts(line: Line, entity: str) -> bool:
    return entity != "BIRTH_DATE" or any(word in line.text.lower() for word in BORN)


def _shown(text: str, start: int, end: int) -> str:
    return f"{text[max(0, start - 30) : start]}«{text[start:end]}»{text[end : end + 12]}"
