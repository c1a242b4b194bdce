"""Read replies of OpenAI's chat completions, whole and in chunks. Pure: no I/O, no SDK.

A dozen servers speak this protocol with accents, so unknown fields and values are ignored. A field that we use and that cannot
be read makes the whole garbled (pydantic's ValidationError, a ValueError).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import TypeAdapter

from app.domain.calls import Delta, Reply, Usage
from app.domain.json_text import loads
from app.domain.messages import Part, Refusal, StopReason, ToolUse
from app.gateway.providers import dialect
from app.gateway.providers.assembly import Assembly, encodable
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError, ReportedError, error_within
from app.gateway.providers.openai_calls import Fragment, ToolCalls
from app.gateway.providers.openai_events import body_documents
from app.gateway.providers.openai_finish import counts, stop_of
from app.gateway.providers.openai_logprobs import token_of
from app.gateway.providers.openai_shapes import Choice, Completion, Message
from app.gateway.providers.openai_usage import REPORTED, Reported
from app.gateway.providers.reported import UNUSABLE, grown, refuse_nothing
from app.gateway.providers.same_shape import SameShape
from app.gateway.providers.sse import is_stream

PATIENCE = 8  # chunks of another choice before the first: servers that send several send them side by side
CHUNK, COMPLETION = "chat.completion.chunk", "chat.completion"
# The fields of a chunk that may hold nothing but more text.
_ENVELOPE = frozenset(
    {"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier", "usage", "obfuscation"}
)
_OF_CHOICE = frozenset({"index", "delta", "logprobs", "finish_reason"})
_OF_DELTA = frozenset({"role", "content", "refusal"})
# The same of a whole answer.
_OF_WHOLE = frozenset({"index", "message", "logprobs", "finish_reason"})
_OF_MESSAGE = frozenset({"role", "content", "refusal", "annotations"})
_PLAIN_ENDS = ("stop", "length")
_FRAME = b"data: ", b"\n\n"

_COMPLETION = TypeAdapter(Completion)
_NO_USAGE = Reported()


class Reading:
    """One reply as it is read, whole or in chunks. Everything raises ValueError where it is not the protocol."""

    def __init__(self, request: ModelRequest, provider: str) -> None:
        """``request`` names the model where the reply does not."""
        self._request = request
        self._provider = provider
        self._assembly = Assembly()
        self._calls = ToolCalls(self._assembly, dialect.names_back(request, dialect.of_openai(request.model)))
        self._model = ""
        self._finish: str | None = None
        self._native: str | None = None
        self._stopped_at = ""
        self._choice: int | None = None
        self._waiting: list[Choice] = []  # of another choice than the first, which may come yet
        self._refused = False
        self._logprobs: dict[str, list[Any]] = {}
        self._usage = _NO_USAGE
        self._counted = False  # the output's figure came with the finish reason or later, and no output after it
        self.grew = False  # whether the last chunk held output
        self._summed = False  # the usage came in a chunk of its own, and no output after it
        self._bare = False  # output came without a finish reason: this server does not send one with every chunk
        self._in_deltas = False  # output came in deltas: a whole message after it repeats them
        self._went_on = False  # output came after a finish reason: some servers send one with every chunk
        self._same = SameShape(_FRAME)
        self.text_of = self._same.text_of  # reads a piece of the stream's bytes, for `deltas`; None where it cannot

    @property
    def complete(self) -> bool:
        """Whether the model's last word has come. Usage and ``[DONE]`` may lack: not every server sends them."""
        return self._finish is not None and not self._went_on

    @property
    def ended(self) -> bool:
        """Whether no more output can follow: a reason that each chunk has, with output, says nothing."""
        return self.complete and (self._bare or not self.grew)

    def whole(self, content: bytes, request_id: str | None) -> Reply:
        """Read an answer that came in one piece. Some servers stream without being asked to."""
        documents = body_documents(content)
        if len(documents) != 1 or is_stream(content):
            for event in documents:
                self.deltas(event)
            self.close()
            return self.reply(request_id)
        document = documents[0]
        if self._one_text(document):
            return self.reply(request_id)
        completion = self._read(document)
        choices = completion.choices or []
        first = next((choice.index for choice in choices if choice.index in (None, 0)), choices[0].index if choices else None)
        own = [choice for choice in choices if choice.index in (None, first)]  # Copilot's, of a text and calls
        # A body that came whole was not cut: without a reason it ended as it should. Its usage counts even if it cannot be read.
        self._finish = next((choice.finish_reason or choice.camel_finish_reason for choice in own), None) or "stop"
        self._note(completion)
        if all(choice.message is None and choice.delta is None and not choice.text for choice in own):
            raise ProtocolError("An answer without a choice.")
        for choice in own:
            self._take(choice)
        self._note(completion)
        self.close()
        return self.reply(request_id)

    def document(self, data: str) -> object:
        """Read the data of one event, for `deltas`: a text where the chunk holds nothing else, as nearly all do."""
        if (text := self._same.text(data)) is not None:
            return text
        document = loads(data)
        if (text := self._more_text(document)) is None:
            return document
        self._same.learn(data, text, self._more_text)
        return text

    def deltas(self, event: object) -> list[Delta]:
        """Read one chunk of a stream: its document, or its text where it holds nothing else."""
        if (text := event if type(event) is str else self._more_text(event)) is not None:
            self.grew, self._counted, self._summed, self._bare, self._in_deltas = True, False, False, True, True
            self._went_on = self._finish is not None
            return [self._assembly.text("text", text)]
        self._same.forget()
        chunk = self._read(event)
        found: list[Delta] = []
        self.grew = False
        for choice in self._own(chunk.choices or ()):
            found += self._take(choice)
        self._note(chunk)
        return found

    def _own(self, choices: Sequence[Choice]) -> list[Choice]:
        """The choices that are of the answer: the first is. Several are never asked for, but servers send them, in any order.

        Another one waits for the first to come, until its own end and for `PATIENCE` chunks at most: then it is the only one.
        """
        if self._choice is None:
            choices, self._waiting = [*self._waiting, *choices], []
            numbers = [choice.index for choice in choices if choice.index is not None]
            others = [choice for choice in choices if choice.index in numbers[:1]]
            if 0 in numbers or self._in_deltas:  # the first: some servers leave a zero out
                self._choice = 0
            elif len(others) >= PATIENCE or any(choice.finish_reason or choice.camel_finish_reason for choice in others):
                self._choice = numbers[0]
            else:
                self._waiting = others
        return [choice for choice in choices if choice.index in (None, self._choice)]

    def _more_text(self, event: object) -> str | None:
        """The text of a chunk that holds nothing else, as nearly all do: not worth a validation each. None for others."""
        if type(event) is not dict or not event.keys() <= _ENVELOPE or event.get("usage") is not None:
            return None
        choices = event.get("choices")
        if event.get("object") != CHUNK or event.get("model") != self._model or type(choices) is not list or len(choices) != 1:
            return None
        choice = choices[0]
        if type(choice) is not dict or not choice.keys() <= _OF_CHOICE or choice.get("finish_reason") or choice.get("logprobs"):
            return None
        index, delta = choice.get("index"), choice.get("delta")
        if type(index) is not int or index != self._choice or type(delta) is not dict or not delta.keys() <= _OF_DELTA:
            return None
        text = delta.get("content")
        return text if type(text) is str and text and delta.get("refusal") is None and encodable(text) == text else None

    def _one_text(self, document: object) -> bool:
        """Take an answer of one text and nothing else, as most are: only its usage is worth a validation. False for others."""
        if type(document) is not dict or not document.keys() <= _ENVELOPE or document.get("object") != COMPLETION:
            return False
        model, choices = document.get("model"), document.get("choices")
        if type(model) is not str or encodable(model) != model or type(choices) is not list or len(choices) != 1:
            return False
        choice = choices[0]
        if type(choice) is not dict or not choice.keys() <= _OF_WHOLE or choice.get("logprobs") or choice.get("index", 0) != 0:
            return False
        message, finish, usage = choice.get("message"), choice.get("finish_reason"), document.get("usage")
        if type(message) is not dict or not message.keys() <= _OF_MESSAGE or finish not in _PLAIN_ENDS or type(usage) is not dict:
            return False
        text = message.get("content")
        if type(text) is not str or not text or message.get("refusal") is not None or encodable(text) != text:
            return False
        self._usage = REPORTED.validate_python(usage)
        self._counted = self._usage.output is not None
        self._model, self._finish = model, finish
        self._assembly.text("text", text)
        return True

    def reply(self, request_id: str | None) -> Reply:
        """The whole. Raises ProtocolError where the stream ended early, or for a reason that is no end."""
        if self._finish is None:
            raise ProtocolError("The stream ended before its end.")
        parts = self._assembly.parts()
        stop = self._stop(self._finish, parts)
        refuse_nothing(self._request, parts, stop, self._usage.output)
        return Reply(
            parts=parts,
            stop=stop,
            usage=self.usage(),
            provider=self._provider,
            model=self._model or self._request.model,
            stop_sequence=self._stopped_at or None if stop == "stop_sequence" else None,
            logprobs=self._logprobs or None,
            provider_request_id=request_id,
        )

    def usage(self) -> Usage:
        """As reported so far. Zero: not known. ``estimated`` unless the output's figure is the final one."""
        return self._usage.usage(final=self._counted)

    def _read(self, value: object) -> Completion:
        """Raises ReportedError where it is an error: a 200 body, a chunk in the middle, or in a list of one (Gemini)."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if (error := error_within(value)) is not None:
            raise ReportedError(error)
        completion = _COMPLETION.validate_python(value)
        if error := next((choice.error for choice in completion.choices or () if choice.error), None):
            raise ReportedError(error)
        return completion

    def _take(self, choice: Choice) -> list[Delta]:
        whole = choice.delta is None and choice.message is not None  # in place of a stream; some servers send both
        message = choice.delta or choice.message or choice.completed
        again = whole and self._in_deltas
        if again:
            message = message.beyond(self._assembly.parts())
        found = self._grown(message)
        self.grew = self.grew or bool(found) or self._refusal(message)
        self._in_deltas = self._in_deltas or (self.grew and not whole)
        self._went_on = self._went_on or (self.grew and self._finish is not None)
        self._counted, self._summed = self._counted and not self.grew, self._summed and not self.grew
        if "logprobs" in self._request.requested and not again:
            for name in ("content", "refusal"):
                tokens = [token_of(token) for token in choice.logprobs.get(name) or () if isinstance(token, dict)]
                if tokens:
                    self._logprobs.setdefault(name, []).extend(tokens)
        self._native = choice.native_finish_reason or self._native
        self._stopped_at = choice.stop_reason or choice.matched_stop or self._stopped_at
        if finish := choice.finish_reason or choice.camel_finish_reason or ("stop" if whole else None):
            if self._went_on or counts(finish, after=self._finish):
                self._finish = finish
            self._counted = self._counted or self._summed  # some servers report the usage before the reason
        self._bare = self._bare or (self.grew and not finish)
        return found

    def done(self) -> None:
        """The server says that the stream is at its end. With the usage before it, that stands for a finish reason.

        Some servers never give one. Alone it says less: go-betweens write it behind a stream that broke.
        """
        if self._finish is None and self._summed:
            self._finish, self._counted = "stop", True

    def close(self) -> list[Delta]:
        """The deltas that end the parts, once the stream is at its end."""
        waited, self._waiting = () if self._in_deltas else self._waiting, []
        found = [delta for choice in waited for delta in self._take(choice)]
        return [*found, *self._calls.close(), *self._assembly.close_all()]

    def _note(self, completion: Completion) -> None:
        self._model = completion.model or self._model
        within = [choice.usage for choice in completion.choices or ()]
        groq = completion.x_groq.usage if completion.x_groq else None
        reported = next((usage for usage in (completion.usage, groq, *within) if usage), None)
        first = self._usage.output is None
        self._usage = grown(self._usage, reported, output="completion_tokens")
        if reported and reported.output is not None:
            of_all = first and not self.grew and reported.output > 0  # Gemini's, beside a choice that says nothing more
            self._summed = self._summed or not completion.choices or of_all
            self._counted = self._counted or self._finish is not None

    def _grown(self, message: Message) -> list[Delta]:
        found: list[Delta] = []
        if message.reasoned:
            found.append(self._assembly.thinking("thinking", message.reasoned))
        for part in message.content or ():
            if part.thought:
                found.append(self._assembly.thinking("thinking", part.thought))
            elif part.text:
                found.append(self._assembly.text("text", part.text))
        return found + self._calls.feed(list(_fragments(message)))

    def _refusal(self, message: Message) -> bool:
        """Take a refusal's text. Returns whether there was any."""
        if message.refused:
            self._assembly.refusal("refusal", message.refused)
        return bool(message.refused)

    def _stop(self, finish: str, parts: tuple[Part, ...]) -> StopReason:
        stop = stop_of(finish, self._native)
        if any(isinstance(part, Refusal) for part in parts):
            return "refusal"
        called = any(isinstance(part, ToolUse) for part in parts)
        if stop == "tool_use" and not called:
            if not parts:
                raise ProtocolError("A tool call that never came.")
            return "end"  # a client would wait for it, and go no further
        if stop != "end":
            return stop
        if called:
            return "tool_use"  # a call forced by name finishes with `stop`, and so do all of some servers
        return "stop_sequence" if self._stopped_at and self._stopped_at in self._request.sampling.stop else stop


def _fragments(message: Message) -> Iterator[Fragment]:
    for call in message.tool_calls or ():
        index = None if call.index == UNUSABLE else call.index
        if call.id or call.function.name or call.function.arguments:
            yield Fragment(index, call.id, call.function.name, call.function.arguments or "", call.extra_content)
    legacy = message.function_call
    if legacy and not message.tool_calls and (legacy.name or legacy.arguments):
        yield Fragment(0, "", legacy.name, legacy.arguments or "")
