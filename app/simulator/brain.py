"""What the simulator says, by rules. The same brain is behind both wires; nothing in the service knows of it.

It does not follow instructions found in passages or tool results: it treats them as material, as a good model would. Told to
`obey`, it follows all of them, as the worst would.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from app.simulator import grounded, obedient, structured, tokens
from app.simulator.request import Ask, Said


def answer(ask: Ask, obey: Mapping[str, Any] | None = None) -> Said:
    """Answer a request: fill a schema, call a tool, answer from passages, or chat. With ``obey``, as its injections say."""
    said = obedient.answer(ask, obey) if obey else _thought(ask)
    _cut(said, ask)
    if ask.think:
        said.thinking = "Let me see what is asked for. "
    prompt = ask.system + "".join(t.text + "".join(r[1] for r in t.results) for t in ask.turns)
    prompt += "".join(json.dumps(dict(t.schema)) + t.description for t in ask.tools)
    said.input_tokens = tokens.count(prompt) + 4 * len(ask.turns)
    said.output_tokens = tokens.count(said.thinking + said.text) + sum(
        8 + tokens.count(json.dumps(dict(a))) for _, a in said.calls
    )
    return said


def _thought(ask: Ask) -> Said:
    if ask.must_call or (ask.tools and ask.may_call):
        calls = _forced(ask) or _named(ask) or grounded.tool_calls(ask)
        if calls:
            return Said(calls=calls, stop="tool_use")
    if ask.schema is not None:
        filled = structured.fill(ask.schema, ask.last_user_text)
        return Said(text=json.dumps(filled, ensure_ascii=False))
    if "<passage" in ask.last_user_text or ask.results:
        return Said(text=grounded.answer(ask))
    return Said(text=_chat(ask))


def _forced(ask: Ask) -> list[tuple[str, Mapping[str, Any]]]:
    """The caller insists on a tool: call it with arguments that fit its schema."""
    if not ask.must_call or ask.results:
        return []
    offered = [t for t in ask.tools if ask.must_call in ("*", t.name)]
    return [(t.name, dict(structured.fill(t.schema, ask.last_user_text))) for t in offered[:1]]


def _named(ask: Ask) -> list[tuple[str, Mapping[str, Any]]]:
    """The user names two or more of the tools: call them all at once. Only in plain chat: no product lets its users do that."""
    named = [t for t in ask.tools if t.name in ask.last_user_text]
    if ask.results or ask.system or len(named) < 2:
        return []
    return [(t.name, dict(structured.fill(t.schema, ask.last_user_text))) for t in named]


def _chat(ask: Ask) -> str:
    """Something short and plausible about what was said."""
    text = " ".join(ask.last_user_text.split())
    lowered = text.lower()
    if any(word in lowered.split() for word in ("hello", "hi", "hello.", "hi!", "hey")):
        return "Hello! How can I help you today?"
    if counting := re.search(r"count to (\d{1,5})", lowered):
        return " ".join(str(number) for number in range(1, int(counting[1]) + 1))
    topic = text[:120].rstrip(".?! ")
    return f"You said: {topic}. I am a simulated model, so this is all I can add." if topic else "I am listening."


def _cut(said: Said, ask: Ask) -> None:
    """Honour stop sequences and the limit on tokens."""
    for sequence in ask.stop:
        at = said.text.find(sequence)
        if at >= 0:
            said.text, said.stop, said.stop_sequence = said.text[:at], "stop_sequence", sequence
    pieces = tokens.split(said.text)
    if len(pieces) > ask.max_tokens:
        said.text, said.stop, said.stop_sequence = "".join(pieces[: ask.max_tokens]), "max_tokens", None
