"""Question, answer and tools of a recorded call as readable text, out of the JSON that is stored."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SHORT = 2000  # characters of a question, an answer or a tool's result; the whole JSON stands below
WAITS = '"waiting for the customer"'  # the status of a tool's result in `app.features.support.tools`
# A product fences its user's words (`security.guard.fence`): how such a fence opens.
_FENCE = re.compile(r"<(question|message|customer_message)(?: [^<>\n]*)?>\n")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that ran before the call. ``arguments`` as the model wrote them; ``result`` as the model got it.

    ``waits``: it changed nothing yet, as the customer has to confirm it.
    """

    name: str
    arguments: str
    result: str
    failed: bool
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """``question``: the user's last words. ``answer``: the text of the answer. ``wants``: tools that the answer calls."""

    question: str = ""
    answer: str = ""
    wants: Sequence[str] = ()
    tools: Sequence[Tool] = ()


def said_of(request: str, response: str) -> Said:
    """Read both stored texts. One that is cut or of another form says nothing."""
    messages, parts = _objects(_read(request), "messages"), _objects(_read(response), "parts")
    question = ""
    used, results = list[dict[str, Any]](), list[dict[str, Any]]()
    for message in messages:
        spoken = _objects(message, "parts")
        if message.get("role") == "user" and (text := _text(spoken)):
            question, used, results = text, [], []
        used += [part for part in spoken if "tool_use" in part]
        results += [part for part in spoken if "tool_result" in part]
    tools = [
        Tool(
            str(use["tool_use"]),
            _cut(str(use.get("arguments", ""))),
            _cut(_text(_objects(got, "tool_result"))),
            got.get("is_error") is True,
            WAITS in _text(_objects(got, "tool_result")),
        )
        for use, got in zip(used, results, strict=False)
    ]
    wants = [f"{part['tool_use']} {part.get('arguments', '')}".strip() for part in parts if "tool_use" in part]
    return Said(_cut(_users_own(question)), _cut(_text(parts)), wants, tools)


def _read(stored: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return None


def _objects(value: Any, name: str) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """The objects in a list of this name; none where there is no such list."""
    found = value.get(name) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(parts: Sequence[dict[str, Any]]) -> str:
    texts = [part.get("text") or part.get("refusal") for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def _users_own(text: str) -> str:
    """The user's words without the product's around them."""
    words, closed = text, 0
    unclosed: set[str] = set()
    for found in _FENCE.finditer(text):
        if found.start() < closed or found[1] in unclosed:
            continue
        end = text.find(f"\n</{found[1]}>", found.end())
        if end < 0:
            unclosed.add(found[1])  # searched once: each search reads the whole text
        else:
            words, closed = text[found.end() : end].strip(), end + len(found[1]) + 4
    return words


def _cut(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"
