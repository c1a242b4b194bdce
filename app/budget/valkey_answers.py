"""The forms of Valkey's answers. An answer of another form counts as a connection that is lost (ADR 0007).

A proxy that is broken, or another server at Valkey's address, answers anything: a number where a list is due, half a web page.
Such an answer must not reach the code behind a command, where it would be an error that no caller expects.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import ResponseError

MISREAD = (TypeError, ValueError, LookupError, AttributeError)  # by code that reads an answer of another form
OF_EACH_WRITE = ("MISCONF ", "NOREPLICAS ", "BUSY ")  # errors that have no type of their own in the client
SHA = re.compile("[0-9a-f]{40}")

Form = Callable[[Any], bool]


class WrongAnswerError(ValkeyConnectionError):
    """An answer of another form than its command's. The connection is closed: answers may have changed places."""

    def __init__(self, what: str) -> None:
        """Name the command or the script; the answer itself may hold anything."""
        super().__init__(f"Valkey gave no answer of the form that {what} has.")


@contextmanager
def read_of(what: str) -> Iterator[None]:
    """Read an answer. Raises WrongAnswerError where its reader finds another form."""
    try:
        yield
    except MISREAD as error:
        raise WrongAnswerError(what) from error


def number(text: str | bytes | None) -> int:
    """Read a counter; none is zero. Raises WrongAnswerError."""
    with read_of("a counter"):
        return int(text or 0)


def with_forms(valkey: Redis) -> Redis:
    """The client, which checks the form of each answer, also in pipelines. Scripts have forms of their own (`RoundTrips`)."""
    for command, form in FORMS.items():
        reader = valkey.response_callbacks.get(command, lambda answer, **_: answer)
        valkey.set_response_callback(command, partial(_checked, command, form, reader))
    return valkey


def _checked(command: str, form: Form, reader: Callable[..., Any], answer: Any, **options: Any) -> Any:  # noqa: ANN401
    with read_of(command):
        found = reader(answer, **options)
        if not form(found):
            raise ValueError
    return found


def a_number(answer: Any) -> bool:  # noqa: ANN401
    """Whether it is a number."""
    return type(answer) is int


def words(answer: Any) -> bool:  # noqa: ANN401
    """Whether it is an array that begins with a word."""
    return isinstance(answer, list) and bool(answer) and _text(answer[0])


def swept(answer: Any) -> bool:  # noqa: ANN401
    """Whether it is an array of a word, a number, and the ids of leases."""
    return words(answer) and len(answer) > 1 and a_number(answer[1]) and all(map(_text, answer[2:]))


def places(answer: Any) -> list[int]:  # noqa: ANN401
    """Read the positions that a script found. Raises WrongAnswerError."""
    if not isinstance(answer, list) or not all(map(a_number, answer)):
        raise WrongAnswerError("heal.lua")
    return answer


def is_of_keys(error: object) -> bool:
    """Whether a script was refused for its own keys, not for what each write is: a missing right, a full disk, no replica."""
    return type(error) is ResponseError and not str(error).startswith(OF_EACH_WRITE)


def _text(answer: Any) -> bool:  # noqa: ANN401
    return isinstance(answer, str)


def _value(answer: Any) -> bool:  # noqa: ANN401
    return answer is None or _text(answer)


def _texts(answer: Any) -> bool:  # noqa: ANN401
    return isinstance(answer, list) and all(map(_text, answer))


def _two_values(answer: Any) -> bool:  # noqa: ANN401
    return isinstance(answer, list) and len(answer) == 2 and all(map(_value, answer))


def _table(answer: Any) -> bool:  # noqa: ANN401
    return isinstance(answer, dict) and all(map(_text, answer)) and all(map(_text, answer.values()))


def _entries(answer: Any) -> bool:  # noqa: ANN401
    return isinstance(answer, list) and all(len(entry) == 2 and _text(entry[0]) and _table(entry[1]) for entry in answer)


# What the client makes of the answers of each command that a room sends.
FORMS: dict[str, Form] = {
    "PING": lambda answer: answer is True,
    "TIME": lambda answer: len(answer) == 2 and all(map(a_number, answer)),
    "GET": _value,
    "HGET": _value,
    "HMGET": _two_values,
    "HGETALL": _table,
    "ZRANGE": _texts,
    "XRANGE": _entries,
    "SET": lambda answer: answer is True or answer is None,
    "EXPIRE": lambda answer: isinstance(answer, bool),
    "INFO": lambda answer: isinstance(answer, dict),
    "SCAN": lambda answer: a_number(answer[0]) and _texts(answer[1]),
    "SCRIPT LOAD": lambda answer: SHA.fullmatch(answer) is not None,
    "EVALSHA": lambda answer: a_number(answer) or _text(answer) or isinstance(answer, list),
    **dict.fromkeys(("EXISTS", "DEL", "HDEL", "HSET", "XLEN", "XDEL", "ZCARD", "PUBLISH"), a_number),
}
