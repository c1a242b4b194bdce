"""Values that are made and changed at a third of the cost of a frozen dataclass, and are one.

A frozen dataclass sets each of its fields past its own lock, by a call for each; a call through the gateway makes some sixty of
them. `quick` gives such a class an ``__init__`` that sets the fields while the new object is of an open class with the same
slots, and closes it then. `replace` is the standard library's, with the fields read by code of the class's own.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")
_UNCHANGED = object()


def quick(cls: type[T]) -> type[T]:
    """Speed up a dataclass with ``frozen`` and ``slots`` and without a base or ``__post_init__``. Raises TypeError for others."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type] # checked below
    open_class = type(cls.__name__, (), {"__slots__": tuple(field.name for field in fields)})
    if cls.__bases__ != (object,) or hasattr(cls, "__post_init__") or not all(field.init for field in fields):
        raise TypeError(f"{cls.__name__} is more than its fields")
    known: dict[str, Any] = {"_closed": cls, "_open": open_class, "_set": object.__setattr__, "_UNCHANGED": _UNCHANGED}
    setting: list[str] = []
    parameters: list[str] = []
    keywords: list[str] = []
    for field in fields:
        name = field.name
        parameter, value = name, name
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter, value = f"{name}=_UNCHANGED", f"_make_{name}() if {name} is _UNCHANGED else {name}"
        (keywords if field.kw_only else parameters).append(parameter)
        setting.append(f"    self.{name} = {value}")
    signature = ", ".join(["self", *parameters, *(["*", *keywords] if keywords else [])])
    made = [f"def __init__({signature}):", "    _set(self, '__class__', _open)", *setting, "    self.__class__ = _closed"]
    _compile(made, known)
    changed = ", ".join(f"{field.name}=_UNCHANGED" for field in fields)
    copied = [f"    new.{f.name} = self.{f.name} if {f.name} is _UNCHANGED else {f.name}" for f in fields]
    closing = ["    new.__class__ = _closed", "    return new"]
    _compile([f"def _changed(self, *, {changed}):", "    new = _open()", *copied, *closing], known)
    init: Callable[..., None] = known["__init__"]
    init.__annotations__ = dict(cls.__init__.__annotations__)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    type.__setattr__(cls, "__init__", init)
    type.__setattr__(cls, "_changed", known["_changed"])
    type.__setattr__(cls, "__init_subclass__", classmethod(_no_subclass))
    return cls


def _no_subclass(cls: type[object], /, **_: object) -> None:
    """Raise TypeError: ``__init__`` and `replace` would make a value of the base, silently."""
    raise TypeError(f"{cls.__name__}: a quick class has no subclasses")


def _compile(lines: list[str], known: dict[str, Any]) -> None:
    exec("\n".join(lines), known)  # noqa: S102 - names of fields, from our own code


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - the same, with its types
else:

    def replace(value: T, /, **changes: Any) -> T:  # noqa: ANN401 - as the standard library's
        """The value with other fields."""
        changed = getattr(value, "_changed", None)
        return changed(**changes) if changed else dataclasses.replace(value, **changes)
