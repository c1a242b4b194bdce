"""Sends a case over a socket of its own, and reads the answers."""

import contextlib
import random
import socket
from dataclasses import dataclass, field

from benchmarks.fuzz.case import Case

ANSWER_SECONDS = 20.0
SOON = 0.03  # how long to wait for an answer to an incomplete request


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``whole`` where all of its body came."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


@dataclass(slots=True)
class Received:
    """The answers on one connection. ``late``: the time was over before all had come."""

    answers: list[Answer] = field(default_factory=list)
    late: bool = False


def send(case: Case, port: int) -> Received:
    """Deliver a case to a port of 127.0.0.1."""
    copy, received = case.as_bytes(), Received()
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as link:
        with contextlib.suppress(OSError):  # it was refused before it was all sent; the answer may be there
            _deliver(case, copy, link)
        if case.delivery in ("cut", "left"):
            return received
        link.settimeout(ANSWER_SECONDS if case.complete else SOON)
        stream = _Stream(link)
        try:
            for _ in range(case.copies):
                answer = stream.answer(bodiless=case.method == b"HEAD")
                if answer is None:
                    break
                received.answers.append(answer)
        except TimeoutError:
            received.late = case.complete
    return received


def _deliver(case: Case, copy: bytes, link: socket.socket) -> None:
    if case.delivery == "split":
        places = sorted(random.Random(len(copy)).sample(range(1, len(copy)), min(3, len(copy) - 1)))  # noqa: S311 - no secret
        for start, end in zip([0, *places], [*places, len(copy)], strict=True):
            link.sendall(copy[start:end])
    elif case.delivery == "cut":
        link.sendall(copy[: len(copy) * 2 // 3])
    elif case.delivery == "garbled":
        link.sendall(copy + b"\x00\x01 no request\r\n\r\n")
    else:
        link.sendall(copy * case.copies)
    if case.delivery == "half_closed":
        link.shutdown(socket.SHUT_WR)
    if case.delivery == "left":
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # closes with a reset


class _Stream:
    """Reads answers off a connection. Raises TimeoutError."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._got = b""

    def answer(self, *, bodiless: bool) -> Answer | None:
        """The next answer; None where the connection ended before one."""
        while b"\r\n\r\n" not in self._got:
            if not self._more():
                return None
        head, _, self._got = self._got.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts = status_line.split(" ")
        status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        if status == 100:
            return self.answer(bodiless=bodiless)
        if bodiless or status in (204, 304):
            return Answer(status, headers, b"", whole=True)
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, *self._chunks())
        if "content-length" in headers:
            length = int(headers["content-length"])
            while len(self._got) < length and self._more():
                pass
            body, self._got = self._got[:length], self._got[length:]
            return Answer(status, headers, body, whole=len(body) == length)
        while self._more():
            pass
        body, self._got = self._got, b""
        return Answer(status, headers, body, whole=True)

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while True:
            while b"\r\n" not in self._got:
                if not self._more():
                    return body, False
            line, _, self._got = self._got.partition(b"\r\n")
            size = int(line.split(b";")[0] or b"0", 16)
            while len(self._got) < size + 2:
                if not self._more():
                    return body, False
            body, self._got = body + self._got[:size], self._got[size + 2 :]
            if size == 0:
                return body, True

    def _more(self) -> bool:
        try:
            part = self._link.recv(65536)
        except ConnectionError:
            return False
        self._got += part
        return bool(part)
