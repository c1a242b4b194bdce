"""Names of tools and ids of tool calls in a vendor's form. Equal ones become equal ones, so that prompt caches still hit."""

import hashlib
import re
from dataclasses import dataclass, field

_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARK = 9  # letters of a hash, with its separator


def tool_name(name: str, longest: int, *, letter_first: bool = False) -> str:
    """A tool's name of at most ``longest`` letters, digits, ``_`` and ``-``; changed ones end in a hash, so they stay apart.

    ``letter_first``: for vendors that take no name with another beginning.
    """
    begins = not letter_first or (name[:1].isascii() and name[:1].isalpha())
    if 0 < len(name) <= longest and begins and not _ODD.search(name):
        return name
    written = _ODD.sub("_", name) if begins else f"tool_{_ODD.sub('_', name)}"
    return f"{written[: longest - _MARK]}_{_hash(name, _MARK - 1)}"


@dataclass(frozen=True, slots=True)
class IdForm:
    """The ids that a vendor takes; others become ``length`` letters and digits of a hash. ``unique``: each call has its own."""

    allowed: re.Pattern[str]
    length: int
    unique: bool = False


@dataclass(slots=True)
class Ids:
    """The ids of one conversation's tool calls, from its first turn on.

    Servers that count their calls give the same ids in each turn (`call_0`): a result answers the first call that has none.
    """

    form: IdForm
    _calls: dict[str, list[str]] = field(default_factory=dict)
    _answered: dict[str, int] = field(default_factory=dict)

    def use(self, identity: str) -> str:
        """A call's id."""
        calls = self._calls.setdefault(identity, [])
        calls.append(self._written(identity, len(calls)))
        return calls[-1]

    def result(self, identity: str) -> str:
        """The id of the call that a result answers."""
        calls, answered = self._calls.get(identity), self._answered.get(identity, 0)
        if not calls:
            return self._written(identity, 0)
        self._answered[identity] = answered + 1
        return calls[min(answered, len(calls) - 1)]

    def _written(self, identity: str, before: int) -> str:
        if before and self.form.unique:
            return _hash(f"{identity} {before}", self.form.length)
        return identity if self.form.allowed.match(identity) else _hash(identity, self.form.length)


def _hash(text: str, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)
