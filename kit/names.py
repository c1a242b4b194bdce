"""Names that a project or a product may have, and what a new name makes of a text."""

import ast
import builtins
import keyword
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from kit.refused import Refused

SHORTEST, LONGEST = 3, 12  # a shorter one begins other names, such as ab those of abs
_WORD = re.compile(r"[a-z][a-z0-9]*\Z")


def checked(name: str, taken: Iterable[str] = ()) -> str:
    """A name that may be a module, a command, a prefix of settings, headers and metrics, and a word. Raises Refused.

    One word: an underscore is lost in a header (nginx drops such headers), a hyphen is no Python. ``taken``: other names in use.
    """
    if not _WORD.match(name):
        raise Refused(f"{name!r} is not one word of small letters and digits that begins with a letter: such as meridian.")
    if not SHORTEST <= len(name) <= LONGEST:
        raise Refused(f"{name!r} has {len(name)} letters: take {SHORTEST} to {LONGEST}.")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        raise Refused(f"{name!r} is a word of Python: take another one.")
    if name in set(taken):
        raise Refused(f"{name!r} is in use in this tree: take another one.")
    if name in sys.stdlib_module_names or _installed(name):
        raise Refused(f"{name!r} is the name of a Python module that is installed: take another one.")
    return name


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a module that is half there
        return True


def renaming(old: str, new: str) -> Callable[[str], str]:
    """What ``new`` makes of a text: the name as a word, as a title, and in capitals, wherever it stands."""
    pairs = ((old, new), (old.capitalize(), new.capitalize()), (old.upper(), new.upper()))

    def renamed(text: str) -> str:
        for before, after in pairs:
            text = text.replace(before, after)
        return text

    return renamed


def clash(code: Iterable[str], renamed: Callable[[str], str]) -> str:
    """An identifier of Python ``code`` that is there already, and that another one would become; empty if there is none."""
    known = {name for text in code for node in ast.walk(ast.parse(text)) for name in _identifiers(node)}
    clashing = (one for one in sorted(known) if renamed(one) != one and renamed(one) in known)
    return next((f"{one} would become {renamed(one)}" for one in clashing), "")


def _identifiers(node: ast.AST) -> Iterator[str]:
    for place in ("id", "attr", "arg", "name", "asname"):
        if isinstance(found := getattr(node, place, None), str):
            yield from found.split(".")
