"""Values that are made and changed at a tenth of the cost of a frozen dataclass, and are read as one.

A frozen dataclass sets each of its fields past its own lock, by a call for each; a call through the gateway makes some thirty of
them. `quick` makes such a class a struct of msgspec's, whose values are made in C. `dataclasses.fields`, ``asdict`` and
``replace`` take it as before; pydantic does not.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

T = TypeVar("T")
# Of a dataclass, all that a struct has by itself.
_MADE = frozenset(vars(dataclasses.make_dataclass("_Empty", (), frozen=True, slots=True))) - {"__doc__", "__dataclass_fields__"}


def quick(cls: type[T]) -> type[T]:
    """Speed up a dataclass with ``frozen`` and ``slots``. Raises TypeError for one with a base, ``__post_init__`` or odd fields.

    That is: fields that are not set, shown or compared as usual, or keywords beside others.
    """
    fields = dataclasses.fields(cls)  # type: ignore[arg-type] # checked below
    usual = all(field.init and field.repr and field.compare and field.hash is None for field in fields)
    keywords = {field.kw_only for field in fields}
    if cls.__bases__ != (object,) or hasattr(cls, "__post_init__") or not usual or len(keywords) > 1:
        raise TypeError(f"{cls.__name__} is more than its fields")
    names = {field.name for field in fields}
    own = {name: value for name, value in vars(cls).items() if name not in _MADE and name not in names}
    more = {"__qualname__": cls.__qualname__, "__init_subclass__": classmethod(_no_subclass)}
    made = msgspec.defstruct(
        cls.__name__, map(_as_struct_has_it, fields), module=cls.__module__, namespace=own | more, frozen=True,
        kw_only=True in keywords,
    )  # fmt: skip
    return cast("type[T]", made)


def _as_struct_has_it(field: "dataclasses.Field[Any]") -> tuple[str, Any, Any]:
    if field.default is not dataclasses.MISSING:
        return field.name, field.type, field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return field.name, field.type, msgspec.NODEFAULT


def _no_subclass(cls: type[object], /, **_: object) -> None:
    """Raise TypeError: `replace` and the code of the class's own make values of the base."""
    raise TypeError(f"{cls.__name__}: a quick class has no subclasses")


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - the same, with its types
else:

    def replace(value: T, /, **changes: Any) -> T:  # noqa: ANN401 - as the standard library's
        """The value with other fields."""
        changed = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
        return changed(value, **changes)
