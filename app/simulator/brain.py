"""Answers by rules: the simulator's own, and those of the products. The same brain is behind both wires.

It does not follow instructions found in passages or tool results: it treats them as material, as a good model would. With
the fault `obey` it follows all of them, as the worst would.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.simulator import obedient, tokens
from app.simulator.request import Answer, Ask, ToolOffer
from app.simulator.rules import Call, Rules
from app.simulator.structured import Filler

_WANTS_JSON = re.compile(r"(?i)\b(?:exactly one|only|single|valid) JSON\b|\bJSON (?:object )?(?:only|and nothing else)\b")
_USE = re.compile(r"(?i)\b(?:use|run|call|execute|invoke|read|list)\b")
_TOOL = re.compile(r"(?i)\b(?:tool|function)s?\b")
_QUOTED = re.compile(r"`([^`\n]{1,400})`")
_REMINDER = re.compile(r"(?s)<(system-reminder|environment_context)>.*?</\1>")
_COMMANDS = frozenset({"command", "cmd"})


class Brain:
    """Answers requests. Of several products' rules the first that has an answer counts."""

    def __init__(self, rules: Sequence[Rules] = ()) -> None:
        """``rules``: of each product."""
        self._rules = tuple(rules)
        self._filler = Filler(self._rules)

    def answer(self, ask: Ask, obey: Mapping[str, Any] | None = None) -> Answer:
        """Answer a request: fill a schema, call a tool, answer for a product, or chat. With ``obey``, as its injections say."""
        answer = obedient.answer(ask, obey, self._rules) if obey else self._thought(ask)
        _cut(answer, ask)
        if ask.think:
            answer.thinking = "Let me see what is asked for. "
        prompt = ask.system + "".join(t.text + "".join(r[1] for r in t.results) for t in ask.turns)
        prompt += "".join(json.dumps(dict(t.schema)) + t.description for t in ask.tools)
        answer.input_tokens = tokens.count(prompt) + 4 * len(ask.turns)
        answer.output_tokens = tokens.count(answer.thinking + answer.text) + sum(
            8 + tokens.count(json.dumps(dict(a))) for _, a in answer.calls
        )
        return answer

    def _thought(self, ask: Ask) -> Answer:
        if ask.must_call or (ask.tools and ask.may_call):
            calls = self._forced(ask) or self._named(ask) or self._products(ask) or self._requested(ask)
            if calls:
                return Answer(calls=calls, stop="tool_use")
        if ask.schema is not None:
            filled = self._filler.fill(ask.schema, ask.last_user_text)
            return Answer(text=json.dumps(filled, ensure_ascii=False))
        texts = (rules.text(ask) for rules in self._rules)
        text = next((text for text in texts if text is not None), None)
        if text is None:
            text = _chat(ask)
            if ask.json_object or _WANTS_JSON.search(ask.system):
                text = json.dumps({"answer": text}, ensure_ascii=False)
        return Answer(text=text)

    def _forced(self, ask: Ask) -> list[Call]:
        """The caller insists on a tool: call it with arguments that fit its schema."""
        if not ask.must_call or ask.results:
            return []
        offered = [t for t in ask.tools if ask.must_call in ("*", t.name)]
        return [self._filled(t, ask) for t in offered[:1]]

    def _named(self, ask: Ask) -> list[Call]:
        """The user names two or more of the tools: call them all at once. Only in plain chat; no product's users name tools."""
        named = [t for t in ask.tools if t.name in ask.last_user_text]
        if ask.results or ask.system or len(named) < 2:
            return []
        return [self._filled(t, ask) for t in named]

    def _products(self, ask: Ask) -> list[Call]:
        return next((list(calls) for calls in (rules.calls(ask) for rules in self._rules) if calls), [])

    def _requested(self, ask: Ask) -> list[Call]:
        """The user asks for a tool to be used, and no product has an answer: one call a turn, for each text in backquotes.

        So an agent's whole loop can be played: call, result, next call, and an answer that quotes the results.
        """
        request = _REMINDER.sub(" ", ask.request)
        if not _USE.search(request) or any(rules.text(ask) is not None for rules in self._rules):
            return []
        quoted, done = _QUOTED.findall(request), ask.results_since
        if done >= max(1, len(quoted)):
            return []
        value = quoted[done] if quoted else None
        named = next((t for t in ask.tools if re.search(rf"(?<!\w){re.escape(t.name)}(?!\w)", request)), None)
        tool = named or next((t for t in ask.tools if quoted and _COMMANDS & _required(t).keys()), None)
        tool = tool or (ask.tools[0] if ask.tools and _TOOL.search(request) else None)
        return [self._with(tool, value, request)] if tool else []

    def _with(self, tool: ToolOffer, value: str | None, request: str) -> Call:
        """A call with the arguments that are required: ``value`` as the first text among them, the others by the schema."""
        wanted = _required(tool)
        arguments: dict[str, Any] = dict(self._filler.fill({**tool.schema, "properties": wanted}, request))
        for name, schema in wanted.items() if value is not None else ():
            kind = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
            if kind == "string" or (kind == "array" and name in _COMMANDS):
                arguments[name] = value if kind == "string" else ["bash", "-lc", value]
                break
        return tool.name, arguments

    def _filled(self, tool: ToolOffer, ask: Ask) -> Call:
        return tool.name, dict(self._filler.fill(tool.schema, ask.last_user_text))


def _required(tool: ToolOffer) -> dict[str, Any]:
    """The properties that a call must have."""
    properties: Mapping[str, Any] = tool.schema.get("properties") or {}
    return {name: properties[name] for name in tool.schema.get("required") or () if name in properties}


def _chat(ask: Ask) -> str:
    """Something short and plausible about the user's text or the results of tools."""
    if ask.answered:
        return " ".join(in_words(name, text) for name, text, _ in ask.results)
    text = " ".join(ask.last_user_text.split())
    lowered = text.lower()
    if any(word in lowered.split() for word in ("hello", "hi", "hello.", "hi!", "hey")):
        return "Hello! How can I help you today?"
    if counting := re.search(r"count to (\d{1,5})", lowered):
        return " ".join(str(number) for number in range(1, int(counting[1]) + 1))
    topic = text[:120].rstrip(".?! ")
    return f"You said: {topic}. I am a simulated model, so this is all I can add." if topic else "I am listening."


def _cut(answer: Answer, ask: Ask) -> None:
    """Honour stop sequences and the limit on tokens."""
    for sequence in ask.stop:
        at = answer.text.find(sequence)
        if at >= 0:
            answer.text, answer.stop, answer.stop_sequence = answer.text[:at], "stop_sequence", sequence
    pieces = tokens.split(answer.text)
    if len(pieces) > ask.max_tokens:
        answer.text, answer.stop, answer.stop_sequence = "".join(pieces[: ask.max_tokens]), "max_tokens", None


def in_words(name: str, text: str) -> str:
    """A tool's result in words."""
    try:
        result = json.loads(text)
    except ValueError:
        return text
    if not isinstance(result, dict):
        return text
    if "message" in result or "error" in result:
        return str(result.get("message") or result.get("error"))
    facts = ", ".join(f"{key.replace('_', ' ')}: {_value(value)}" for key, value in result.items() if value is not None)
    return f"Here is what I found ({name.replace('_', ' ')}): {facts}."


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return "; ".join(_value(v) for v in value)
    if isinstance(value, dict):
        return " ".join(_value(v) for v in value.values() if v is not None)
    return str(value)
