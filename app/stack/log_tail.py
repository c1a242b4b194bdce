"""The end of a part's log, for a person: each event and error message once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

_ERROR = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?P<name>[A-Za-z_]\w*): ", re.MULTILINE)
_OURS = frozenset({"Misconfigured"})  # its message is a sentence for the operator


def last_lines(log: Path, count: int) -> str:
    """The last ``count`` lines of a log, without repetitions. A worker that dies is replaced, and logs the same again."""
    if not log.exists():
        return "(no log)"
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(list(dict.fromkeys(_readable(lines)))[-count:])


def _readable(lines: list[str]) -> Iterator[str]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "event" not in entry:
            yield line
            continue
        event, trace = str(entry["event"]), str(entry.get("exception", ""))
        if event.startswith("Traceback"):  # some libraries log one as their message
            event, trace = "error", event
        yield f"{entry.get('level', '')}: {event}" + (f": {_error(trace)}" if trace else "")


def _error(trace: str) -> str:
    """The message of the error at a traceback's end, all of its lines."""
    found = list(_ERROR.finditer(trace))
    if not found:
        return trace
    last = found[-1]
    return trace[last.end() if last["name"] in _OURS else last.start() :].rstrip()
