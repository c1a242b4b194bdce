"""Tell the fragments of tool calls apart, as servers of OpenAI's protocol stream them.

A fragment belongs to a call by its id and its index, which servers leave out, repeat, or give to two calls. In order:

- an id that was seen belongs to its call, unless another name or a second whole document comes with it, or a name at an index
  of its own behind a whole call: LocalAI gives all calls of an answer one id. Of calls with one id, the index tells which;
- a new id is a new call, unless it comes without a name into a call whose arguments are not whole;
- a name without an id begins a call, unless it repeats the name of a call that is not whole, or goes on with it;
- the rest belongs to the call of its index, else to the latest.

A call without an id gets one. A name may come after the id, and in pieces, as Gemini's models stream it: a piece goes on with a
name if both together begin the name of a tool that was offered. Arguments may be sent as an object, be written as JSON twice, be
repeated whole at the end, or begin with an empty object (or null) that stands for none yet.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.domain.calls import Delta
from app.domain.json_text import GrowingObject
from app.gateway.providers.assembly import Assembly
from app.gateway.providers.errors import ProtocolError

NO_ARGUMENTS = ("{}", "null")
MOST_CALLS = 1_000  # of one reply: telling them apart costs the square of their number


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of one tool call. Empty strings where the server says nothing."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str | None = None


@dataclass(slots=True)
class _Call:
    """One call under way. ``begun``: its start has been sent on; ``given``: the server's id, which may be another call's, too."""

    index: int | None
    id: str = ""
    given: str = ""
    name: str = ""
    signature: str | None = None
    pieces: list[str] = field(default_factory=list)
    begun: bool = False
    growing: GrowingObject = field(default_factory=GrowingObject)

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def whole(self) -> bool:
        return self.growing.is_whole(self.pieces)


class ToolCalls:
    """The tool calls of one reply; each goes into the reply's assembly under its own key."""

    def __init__(self, assembly: Assembly, names: Mapping[str, str]) -> None:
        """``assembly`` orders the calls among the reply's other parts; ``names``: ours of each offered tool by the vendor's."""
        self._assembly = assembly
        self._names = names
        self._calls: list[_Call] = []

    def feed(self, fragments: list[Fragment]) -> list[Delta]:
        """Read the fragments of one chunk. Raises ProtocolError for arguments that belong to no call."""
        found: list[Delta] = []
        named: set[int] = set()  # calls that this chunk has named: a second name is a second call's
        for fragment in fragments:
            number = self._number(fragment, named)
            if number is None:
                if not (fragment.id or fragment.name):
                    raise ProtocolError("A tool call without id or name.")
                number = len(self._calls)
                if number == MOST_CALLS:
                    raise ProtocolError(f"The answer has over {MOST_CALLS:,} tool calls.")
                self._calls.append(_Call(fragment.index))
                found += self._begin_all()
            if fragment.name:
                named.add(number)
            found += self._grow(number, fragment)
        return found

    def close(self) -> list[Delta]:
        """Begin the calls that had no arguments. Raises ProtocolError for a call without a name; an id alone is no call."""
        if any(call.pieces and not call.name for call in self._calls):
            raise ProtocolError("A tool call without a name.")
        return self._begin_all()

    def _number(self, fragment: Fragment, named: set[int]) -> int | None:
        """The call that a fragment belongs to; None for a new one."""
        known = self._latest(lambda call: bool(fragment.id) and call.given == fragment.id and call.index == fragment.index)
        if known is None:
            known = self._latest(lambda call: bool(fragment.id) and call.given == fragment.id)
        if known is not None:
            return None if self._is_another(self._calls[known], fragment) else known
        here = self._latest(lambda call: fragment.index is not None and call.index == fragment.index)
        if here is None and fragment.index is not None and (fragment.id or fragment.name):
            return None
        here = len(self._calls) - 1 if here is None else here
        if here < 0 or (fragment.name and here in named):
            return None
        call = self._calls[here]
        if fragment.id and (call.id or call.begun):
            return None if fragment.name or call.whole else here
        if fragment.name and call.name:
            repeated = fragment.name == call.name and not call.whole
            return here if repeated or self._goes_on(call, fragment) else None
        return here

    def _goes_on(self, call: _Call, fragment: Fragment) -> bool:
        """Whether a fragment brings a further piece of a call's name, and no name of its own."""
        if not fragment.name or not call.name or call.begun or call.pieces:
            return False
        if fragment.name in self._names and call.name in self._names:
            return False
        return any(name.startswith(call.name + fragment.name) for name in self._names)

    def _named(self, call: _Call) -> bool:
        """Whether a call's name is whole: no offered tool's name is longer, or the arguments have begun."""
        if not call.name or call.pieces:
            return bool(call.name)
        return not any(name != call.name and name.startswith(call.name) for name in self._names)

    def _latest(self, matches: Callable[[_Call], bool]) -> int | None:
        return next((n for n in range(len(self._calls) - 1, -1, -1) if matches(self._calls[n])), None)

    def _is_another(self, call: _Call, fragment: Fragment) -> bool:
        """Whether a fragment with a call's id is another call's: servers that number calls anew give one id to two."""
        if self._goes_on(call, fragment):
            return False
        if fragment.name and call.name and fragment.name != call.name:
            return True
        if fragment.name and not fragment.arguments and call.whole and fragment.index not in (None, call.index):
            return True
        return _is_document(fragment.arguments) and call.whole and fragment.arguments != call.arguments

    def _grow(self, number: int, fragment: Fragment) -> list[Delta]:
        call = self._calls[number]
        taken = any(other.id == fragment.id for other in self._calls if other is not call)
        call.id, call.given = call.id or ("" if taken else fragment.id), call.given or fragment.id
        call.name = call.name + fragment.name if self._goes_on(call, fragment) else call.name or fragment.name
        call.signature = call.signature or fragment.signature
        if call.index is None:
            call.index = fragment.index
        text = self._new_text(call, fragment)
        if self._is_repeated(call, text):
            call.name = ""  # it never begins
            return []
        if text:
            call.pieces.append(text)
        if call.begun:
            return [self._assembly.arguments(_key(number), text)] if text else []
        return self._begin(number) if self._named(call) and (call.id or call.pieces) else []

    def _is_repeated(self, call: _Call, text: str) -> bool:
        """Whether a call that has not begun is another one's, sent again at an index of its own."""
        if call.begun or call.pieces or not text or not call.given:
            return False
        twins = (other for other in self._calls if other is not call and other.given == call.given)
        return any(other.name == call.name and other.arguments == text for other in twins)

    @staticmethod
    def _new_text(call: _Call, fragment: Fragment) -> str:
        """The part of a fragment's arguments that is not there yet."""
        text = fragment.arguments
        if not call.pieces:
            return "" if text.strip() in NO_ARGUMENTS else _unwrapped(text)
        if call.whole:
            text = _unwrapped(text)
        if not text.startswith("{"):
            return text
        named = bool(fragment.name or fragment.id)
        if named and text.startswith(call.pieces[0]) and text.startswith(sent := call.arguments) and len(sent) > 1:
            return text[len(sent) :]  # all of it again, and more
        return "" if call.whole and call.arguments.startswith(text) else text  # repeated at the end

    def _begin_all(self) -> list[Delta]:
        return [delta for number, call in enumerate(self._calls) if call.name for delta in self._begin(number)]

    def _begin(self, number: int) -> list[Delta]:
        """Begin a call, once: the arguments that waited for its name follow."""
        call = self._calls[number]
        if call.begun:
            return []
        call.begun, call.id = True, call.id or f"call_{secrets.token_hex(12)}"
        waiting = call.arguments
        name = self._names.get(call.name, call.name)
        begun = [self._assembly.tool(_key(number), call.id, name, call.signature)]
        return [*begun, self._assembly.arguments(_key(number), waiting)] if waiting else begun


def _key(number: int) -> tuple[str, int]:
    return ("tool", number)


def _unwrapped(text: str) -> str:
    """Arguments that were written as JSON twice, as they were before the second time."""
    if not text.lstrip().startswith('"'):
        return text
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return inner if _is_document(inner) else text


def _is_document(text: str) -> bool:
    """Whether arguments are whole: one JSON object."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
