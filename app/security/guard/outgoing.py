"""Checks a model's output (S4), whole or as it comes: leaks are stopped, foreign links taken out.

A stream holds back as much as may still turn out to be the canary, the system prompt, or a link; what has gone out stays true.
Where a check blocks, tool calls leave once the whole reply has passed, and reasoning once all of it is there: a client acts on
the one and shows the other, and neither can be taken back. Reasoning that fails is left out, as its signature is over its words.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.calls import Chunk, CitationDelta, Done, Reply, TextDelta, ThinkingDelta, ToolUseDelta, ToolUseStart
from app.domain.errors import AnswerWithheld
from app.domain.json_text import too_deep
from app.domain.messages import Native, OutputSchema, Part, Refusal, Text, Thinking, ToolUse
from app.domain.quick import replace
from app.domain.routes import GuardAction
from app.security.guard.code_spans import CodeSpans
from app.security.guard.leaks import LeakWatch, Secrets, secrets_of
from app.security.guard.links import Links
from app.security.guard.seams import LONGEST_NAME, seam

_BLANK = re.compile(r"[ \t-\r]")
UNREADABLE = "nested-too-deeply"
CANARY, SYSTEM_PROMPT, FOREIGN_LINK = "canary", "system-prompt", "foreign-link"


@dataclass(slots=True)
class Outgoing:
    """One reply under way. ``actions`` by check; ``found`` lists the checks that failed, each once, in order."""

    links: Links
    actions: Mapping[str, GuardAction]
    canary: str = ""
    system: str = ""
    output: OutputSchema | None = None
    finish: Callable[[str], str] | None = None
    found: list[str] = field(default_factory=list)
    _watch: LeakWatch = field(init=False)
    _passes: bool = field(init=False)  # nothing is sought in a text as it comes, and nothing of it can be held back
    _waiting: str = ""
    _code: CodeSpans = field(default_factory=CodeSpans)
    _text_at: int = 0
    _reasoning: list[ThinkingDelta] = field(default_factory=list)
    _thinking: int = 0  # characters of it
    _thought: str = ""
    _joined: LeakWatch | None = None  # over reasoning and the answer after it: half of a secret may be in each

    def __post_init__(self) -> None:
        """Search only for what is switched on."""
        known = self.canary if self._on(CANARY) else ""
        wanted = known or (self.system if self._on(SYSTEM_PROMPT) else "")
        self._watch = LeakWatch(secrets_of(known, self.system if self._on(SYSTEM_PROMPT) else "") if wanted else Secrets())
        self._passes = not self._watch.secrets.sought and self.actions.get(FOREIGN_LINK) != "block"

    @property
    def held(self) -> int:
        """Characters that wait: the next chunk may be the one that has them checked."""
        return len(self._waiting) + self._thinking

    def chunk(self, chunk: Chunk) -> Iterable[Chunk]:
        """The next chunk of a stream; gives those that may go out now. Raises AnswerWithheld."""
        if type(chunk) is TextDelta and not self._reasoning:  # nearly every chunk
            self._text_at = chunk.index
            if self._passes:
                return (chunk,)
            text = self.feed(chunk.text)
            return (TextDelta(chunk.index, text),) if text else ()
        return self._other(chunk)

    def _other(self, chunk: Chunk) -> Iterator[Chunk]:
        if isinstance(chunk, ThinkingDelta):
            yield from self._more_reasoning(chunk)
            return
        if isinstance(chunk, CitationDelta):  # it quotes the caller's own documents
            yield chunk
            return
        if self._reasoning:
            yield from self._all_reasoning()
        if isinstance(chunk, TextDelta):
            self._text_at = chunk.index
            if text := self.feed(chunk.text):
                yield TextDelta(chunk.index, text)
            return
        if text := self.end():
            yield TextDelta(self._text_at, text)
        if isinstance(chunk, Done):
            yield from self._last(chunk.reply)
        elif not self._blocks:
            yield chunk

    def feed(self, text: str) -> str:
        """More of the text; returns what may go out now. Raises AnswerWithheld."""
        return self._pass_on(self._watched(text), at_end=False)

    def end(self) -> str:
        """The rest. Raises AnswerWithheld."""
        rest = self._watch.end()
        self._judge()
        return self._pass_on(rest + self._watch.rest(), at_end=True)

    def reply(self, reply: Reply) -> Reply:
        """A whole reply as it may go out; arguments of tool calls count as output. Raises AnswerWithheld."""
        if self.finish and reply.text and (finished := self.finish(reply.text)) != reply.text:
            reply = replace(reply, parts=_with_text(reply.parts, finished))
        whole = Outgoing(self.links, self.actions, self.canary, self.system, self.output, found=self.found)
        parts = tuple(part for part in reply.parts if whole._may_be_thought(part))
        if any(too_deep(use.arguments) for use in reply.tool_uses):
            self._unreadable()
        whole._watched(_all_said(reply, document=self.output is not None))
        whole._watch.end()
        whole._judge()
        text = whole._clean(reply.text)
        parts = _with_text(parts, text) if text != reply.text else parts
        parts = tuple(self._use(part) if isinstance(part, ToolUse) else part for part in parts)
        parts = tuple(Refusal(whole._clean(part.text)) if isinstance(part, Refusal) else part for part in parts)
        return reply if parts == reply.parts else replace(reply, parts=parts)

    def document(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A product's answer as it may leave, each string checked. Raises AnswerWithheld. Nothing may change it afterwards."""
        self._watched("\n".join(_strings(body, names=False)))
        self._watch.end()
        self._judge()
        if not self._on(FOREIGN_LINK):
            return dict(body)
        removing = self.actions.get(FOREIGN_LINK) == "block"
        cleaned, removed = _each_string(body, self.links)
        if removed or (removing and cleaned != body):
            self._note(FOREIGN_LINK)
        return dict(cleaned if removing else body)

    def _last(self, reply: Reply) -> Iterator[Chunk]:
        """The end of a stream: the tool calls that were held back, as they may go out, and the reply."""
        passed = self.reply(reply)
        if self._blocks:
            places = (at for at, part in enumerate(reply.parts) if isinstance(part, ToolUse))
            for at, use in zip(places, passed.tool_uses, strict=True):
                yield ToolUseStart(at, use.id, use.name, use.signature)
                yield ToolUseDelta(at, use.arguments)
        yield Done(passed)

    def _more_reasoning(self, delta: ThinkingDelta) -> Iterator[Chunk]:
        if not self._blocks:
            yield delta
            return
        if self._reasoning and self._reasoning[0].index != delta.index:
            yield from self._all_reasoning()
        self._reasoning.append(delta)
        self._thinking += len(delta.text)

    def _all_reasoning(self) -> Iterator[Chunk]:
        """The part that was held back of reasoning that is whole now."""
        held, self._reasoning, self._thinking = self._reasoning, [], 0
        if self._may_be_thought(Thinking("".join(delta.text for delta in held))):
            yield from held

    def _may_be_thought(self, part: Part) -> bool:
        """False for reasoning that fails a check which blocks, and then for a block of one vendor's that no check can read."""
        if isinstance(part, Native):
            return not self._blocks
        if not isinstance(part, Thinking) or not self._blocks:
            return True
        watch = LeakWatch(self._watch.secrets)
        watch.feed(self._thought + part.text)
        watch.end()
        foreign = self._on(FOREIGN_LINK) and self.links.clean(part.text)[1]
        failed = [check for check in (watch.found, FOREIGN_LINK if foreign else "") if check]
        for check in failed:
            self._note(check)
        if any(self.actions[check] == "block" for check in failed):
            return False
        self._thought += part.text
        self._joined = self._joined or LeakWatch(self._watch.secrets)
        self._joined.feed(part.text)
        return True

    @property
    def _blocks(self) -> bool:
        return any(self.actions.get(check) == "block" for check in (CANARY, SYSTEM_PROMPT, FOREIGN_LINK))

    def _use(self, use: ToolUse) -> ToolUse:
        """Clean a tool's arguments: a person may see them too."""
        if not self._on(FOREIGN_LINK):
            return use
        removing = self.actions.get(FOREIGN_LINK) == "block"
        cleaned, removed = self._of_document(use.arguments)
        if removed or (removing and cleaned != use.arguments):
            self._note(FOREIGN_LINK)
        return replace(use, arguments=cleaned) if removing else use

    def _watched(self, text: str) -> str:
        out = self._watch.feed(text)
        if self._joined:
            self._joined.feed(text)
            self._watch.found = self._watch.found or self._joined.found
        self._judge()
        return out + self._watch.rest() if self._watch.found else out  # found and not stopped by policy: as it came

    def _judge(self) -> None:
        check = self._watch.found
        if not check:
            return
        self._note(check)
        if self.actions.get(check) == "block":
            raise AnswerWithheld("The answer was withheld: it gave away the assistant's instructions.")

    def _pass_on(self, text: str, *, at_end: bool) -> str:
        if self.actions.get(FOREIGN_LINK) != "block":
            return text
        text = self.links.visible(text)  # before it is cut: what is taken out behind a seam would join its two sides
        self._waiting += text
        if at_end:
            text, self._waiting = self._waiting, ""
            return self._clean(text, code=self._code)
        if self.output is not None:
            return ""  # a document is checked whole, by its strings
        if not _BLANK.search(text) and len(self._waiting) // LONGEST_NAME == (len(self._waiting) - len(text)) // LONGEST_NAME:
            return ""  # the same word goes on: nothing more can leave
        cut = seam(self._waiting)
        text, self._waiting = self._waiting[: cut.at] + cut.mend, self._waiting[cut.at :]
        return self._clean(text, code=self._code) if text else ""

    def _clean(self, text: str, *, code: CodeSpans | None = None) -> str:
        if not self._on(FOREIGN_LINK):
            return text
        removing = self.actions.get(FOREIGN_LINK) == "block"
        cleaned, removed = self._of_document(text) if self.output else self.links.clean(text, code)
        if removed or (removing and cleaned != text):
            self._note(FOREIGN_LINK)
        return cleaned if removing else text

    def _of_document(self, text: str) -> tuple[str, int]:
        """JSON stays JSON: each string of it is cleaned by itself. Raises AnswerWithheld."""
        if too_deep(text):
            self._unreadable()
            return text, 0
        try:
            document = json.loads(text)
        except ValueError:
            return self.links.clean(text)
        cleaned, removed = _each_string(document, self.links)
        if cleaned == document and not _repeats(_read(text)):
            return text, 0
        return json.dumps(cleaned), removed  # in ASCII: half a surrogate pair stays an escape

    def _unreadable(self) -> None:
        """Where a check blocks, a document that is nested too deeply to be checked does not go out."""
        if self._blocks:
            self._note(UNREADABLE)
            raise AnswerWithheld("The answer was withheld: it is nested too deeply to be checked.")

    def _on(self, check: str) -> bool:
        return self.actions.get(check, "off") != "off"

    def _note(self, check: str) -> None:
        if check not in self.found:
            self.found.append(check)


def _all_said(reply: Reply, *, document: bool) -> str:
    """Text and tool calls, in every order in which halves of a secret in two of them would meet.

    ``document``: the text is JSON, whose escapes spell anything, so it is read as its reader will read it too.
    """
    text = f"{reply.text}\n{' '.join(_strings(_read(reply.text), names=True))}" if document else reply.text
    refused = "\n".join(part.text for part in reply.parts if isinstance(part, Refusal))
    text = f"{text}\n{refused}" if refused else text
    if not reply.tool_uses:
        return text
    read = [(use, _read(use.arguments)) for use in reply.tool_uses]
    values = " ".join(text for _, document in read for text in _strings(document, names=False))
    # As it is written, and as its tool will read it: JSON's escapes spell anything.
    calls = (f"{use.name}{use.arguments}\n{' '.join(_strings(document, names=True))}" for use, document in read)
    return "\n".join([text, values, *calls, values, text])


class _Object(list[tuple[str, Any]]):
    """A JSON object that keeps repeated names."""


def _read(text: str) -> Any:  # noqa: ANN401 - any JSON
    """A JSON document; nothing where it is none, or nested too deeply."""
    try:
        return None if too_deep(text) else json.loads(text, object_pairs_hook=_Object)
    except ValueError:
        return None


def _repeats(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether an object has a name twice: readers differ in which they take, and only one was checked."""
    if isinstance(value, _Object):
        return len(dict(value)) != len(value) or any(_repeats(inner) for _, inner in value)
    return isinstance(value, list) and any(map(_repeats, value))


def _strings(value: Any, *, names: bool) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, _Object):
        for name, inner in value:
            if names:
                yield name
            yield from _strings(inner, names=names)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner, names=names)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner, names=names)


def _each_string(value: Any, links: Links) -> tuple[Any, int]:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return links.clean(value)
    if isinstance(value, list | tuple):
        parts = [_each_string(inner, links) for inner in value]
        return [part for part, _ in parts], sum(number for _, number in parts)
    if isinstance(value, Mapping):
        pairs = {links.clean(name)[0]: _each_string(inner, links) for name, inner in value.items()}
        return {name: part for name, (part, _) in pairs.items()}, sum(number for _, number in pairs.values())
    return value, 0


def _with_text(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    """All text in the first text part: what is removed may have stood in two."""
    first = next(at for at, part in enumerate(parts) if isinstance(part, Text))
    kept = [(at, part) for at, part in enumerate(parts) if at == first or not isinstance(part, Text)]
    return tuple(Text(text) if at == first else part for at, part in kept)
