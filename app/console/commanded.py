"""Commands as buttons: the action of the console that does what a command of the runbook does, with its values filled in.

The actions themselves say how their commands read, so a new action has its buttons without a line here. A command that no action
does, or that has an option which its action lacks, has none.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

_BLANK = re.compile(r"[A-Z]{3,}")  # a word, or a part of one such as PROVIDER/MODEL, that the reader replaces
_OPEN = re.compile(r"…|\.\.\.|describe it .*")
_BLOCK = re.compile(r"^ *\$ ((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_INLINE = re.compile(r"`(octant [^`]+)`")
REASON = "reason"
FLAG = "1"  # the value of an option that takes none
NO_VALUES: Mapping[str, str] = {}


class Commandable(Protocol):
    """What an action says about its command. `Act` has it."""

    @property
    def name(self) -> str:
        """Its address."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its form, but for the reason."""

    @property
    def label(self) -> str:
        """The words of its button, before its values; its command's where it has none."""

    @property
    def command(self) -> str:
        """The words of its command, and the options that make it this one."""

    @property
    def asks(self) -> str:
        """The label of its reason, where that is what is written down: a sample of it is not filled in."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The fields, or the reason, that its command takes without an option, in their order."""

    @property
    def options(self) -> Mapping[str, str]:
        """Options that read otherwise than its fields: the field, or the reason, by the option's name."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button: its words, and the page that asks once more."""

    words: str
    href: str


Buttons = Callable[[str], Button | None]
"""The button of a command, if it has one."""


class Commanded:
    """The buttons of these actions."""

    def __init__(self, actions: Iterable[Commandable] = ()) -> None:
        """Of two actions that fit, the one with more words in its command is meant."""
        self._actions = sorted(actions, key=lambda act: -len(act.command.split()))

    def button(self, command: str, words: Mapping[str, str] = NO_VALUES, *, back: str = "") -> Button | None:
        """The button of a command. ``words``: values of its words in capitals, as far as they are known.

        A value that is left is a field of the page that the button leads to. ``back``: the page to come back to.
        """
        try:
            typed = shlex.split(command.replace("\\\n", " "))
        except ValueError:
            return None
        if typed[:1] != ["octant"]:
            return None
        for act in self._actions:
            if (given := _given(act, typed[1:], words)) is not None:
                return _button(act, given, back)
        return None


def buttons_in(text: str, buttons: Buttons) -> list[Button]:
    """The buttons of the commands in a section of the runbook, each once: of its blocks, then of its sentences."""
    commands = [*_BLOCK.findall(text), *filter(is_whole, _INLINE.findall(text))]
    found = {one.words: one for command in reversed(commands) if (one := buttons(command))}
    return list(found.values())[::-1]


def no_buttons(_: str) -> Button | None:
    """For a person who may not act."""
    return None


def is_whole(command: str) -> bool:
    """Whether a command in a sentence is there to be run: one without a value or an option is a name."""
    return bool(re.search(r" (?:--|[\"'<A-Z]|\S*\d)", command))


def _given(act: Commandable, typed: Sequence[str], words: Mapping[str, str]) -> dict[str, str | None] | None:
    """The values of a command, by field, None for one that is left to fill in; None where it is not this action's."""
    said = act.command.split()
    begin, flags = [word for word in said if not word.startswith("--")], {word for word in said if word.startswith("--")}
    rest = list(typed[len(begin) :])
    if list(typed[: len(begin)]) != begin or not flags <= set(rest):
        return None
    found: dict[str, str | None] = {}
    free = list(act.arguments)
    rest = [word for word in rest if word not in flags]
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            if not free:
                return None
            found[free.pop(0)] = _value(word, words)
            continue
        name, _, value = word.removeprefix("--").partition("=")
        field = act.options.get(name, name.replace("-", "_"))
        if field not in (*act.fields, REASON):
            return None
        value = value or (rest.pop(0) if rest and not rest[0].startswith("--") else FLAG)
        found[field] = _value(value, words)
    return None if any(field in act.fields for field in free) else found


def _value(word: str, words: Mapping[str, str]) -> str | None:
    """A word of a command; None for one that is left to fill in."""
    if _OPEN.fullmatch(word):
        return None
    known = [words.get(part) if _BLANK.fullmatch(part) else part for part in word.split("/")]
    return None if None in known else "/".join(filter(None, known))


def _button(act: Commandable, given: Mapping[str, str | None], back: str) -> Button:
    """Its words name what the command is about; its address has each value, and the fields that are left."""
    about = [value for name in act.arguments if name != REASON and (value := given.get(name))]
    flags = "".join(f", {name.replace('_', ' ')}" for name, value in given.items() if value == FLAG)
    words = " ".join([act.label or act.command.capitalize(), *about]) + flags
    left = ",".join(name for name, value in given.items() if value is None and name != REASON)
    kept = {name: value for name, value in given.items() if value and not (name == REASON and act.asks)}
    query = {**kept, "fill": left, "back": back}
    asked = urlencode({name: value for name, value in query.items() if value})
    return Button(f"{words}…", f"/console/do/{act.name}" + (f"?{asked}" if asked else ""))
