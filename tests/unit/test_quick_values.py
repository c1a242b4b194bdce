"""Quick values behave as the frozen dataclasses that they are."""

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.quick import quick, replace


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    a: int
    b: str = "b"
    c: list[int] = dataclasses.field(default_factory=list)
    d: float | None = None


@quick
@dataclasses.dataclass(frozen=True, slots=True)
class Quick:
    a: int
    b: str = "b"
    c: list[int] = dataclasses.field(default_factory=list)
    d: float | None = None


FIELDS = st.fixed_dictionaries(
    {}, optional={"a": st.integers(), "b": st.text(), "c": st.lists(st.integers()), "d": st.none() | st.floats(allow_nan=False)}
)


def result(make: Any) -> object:  # noqa: ANN401
    """The fields, or the error."""
    try:
        return dataclasses.astuple(make())
    except TypeError as error:
        return type(error)


@given(st.lists(st.integers(), max_size=5), FIELDS, FIELDS)
def test_a_quick_value_is_made_and_changed_as_any_frozen_dataclass(
    positions: list[int], named: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert result(lambda: Quick(*positions, **named)) == result(lambda: Plain(*positions, **named))  # type: ignore[arg-type]
    plain, fast = Plain(**{"a": 1, **named}), Quick(**{"a": 1, **named})
    assert result(lambda: replace(fast, **changes)) == result(lambda: dataclasses.replace(plain, **changes))
    assert dataclasses.replace(fast, **changes) == replace(fast, **changes)
    assert repr(fast) == repr(plain).replace("Plain", "Quick")


def test_a_quick_value_cannot_be_changed() -> None:
    value = Quick(1)
    with pytest.raises(AttributeError):
        value.a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del value.a
    assert type(value) is Quick
    assert not hasattr(value, "__dict__")


def test_a_quick_value_is_copied_stored_and_taken_apart() -> None:
    value = Quick(1, c=[2])
    assert [copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))] == [value] * 3  # noqa: S301 - our own
    assert dataclasses.asdict(value) == {"a": 1, "b": "b", "c": [2], "d": None}
    with pytest.raises(TypeError):
        hash(value)
    assert inspect.signature(Quick).parameters.keys() == inspect.signature(Plain).parameters.keys()
    assert Quick(1).c is not Quick(1).c


def test_what_is_more_than_its_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="more than its fields"):

        @quick
        @dataclasses.dataclass(frozen=True, slots=True)
        class Derived(Plain):
            e: int = 0

    with pytest.raises(TypeError, match="more than its fields"):

        @quick
        @dataclasses.dataclass(frozen=True, slots=True)
        class Odd:
            a: int = dataclasses.field(default=0, compare=False)


def test_a_quick_class_has_no_subclasses() -> None:
    """The value of one would silently be of the base."""
    with pytest.raises(TypeError, match="no subclasses"):

        class Derived(Quick):
            pass

    assert type(Quick(1)) is Quick
