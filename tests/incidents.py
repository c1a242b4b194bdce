"""Makes the fault of a page, follows the page literally, and judges by other means than the page's own."""

import itertools
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any

from commands import run
from conftest import ROOT

from app.features.installed import installed
from app.oncall.runbook.pages import Command, Page

ROGUE = "mallory"  # the user who does harm: a page's `USER`
PATIENCE = 300.0  # seconds for an output to appear; the machine may be busy
EVERY = 0.3
OFTEN, SELDOM = 0.2, 1.0  # seconds between calls
UNANSWERED = re.compile(r"(?:did|does) not answer")
CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got. ``headers``: `octant-provider`, `octant-attempts` and so on."""

    status: int
    code: str
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class World:
    """A running service, a shell on it, and the values of the words in capitals."""

    url: str
    env: Mapping[str, str]
    key: str  # of a caller who does no harm
    secret: str  # of the caller who does: a page's `$KEY`
    words: Mapping[str, str]
    user: str  # of their own for each page: one page's traffic must not use up the next one's cap

    def shell(self, text: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of a page as a person would who pastes it."""
        command = self.filled_in(text).replace("http://127.0.0.1:8080", self.url)
        environment = {**self.env, "KEY": self.secret}
        line = ["/bin/sh", "-c", command]
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def filled_in(self, text: str) -> str:
        """The text with values for the words in capitals; `$KEY` is the shell's."""
        for word, value in self.words.items():
            text = re.sub(rf"(?<![$\w]){word}\b", value, text)
        return text

    def follow(self, command: Command, *, repeat: bool = False, before: Sequence[Command] = ()) -> None:
        """Run a command. It succeeds and shows its expected lines; ``repeat``: it may take until `PATIENCE`.

        Each repetition begins with the commands ``before`` it on the page: one may make what this one shows.
        Where a store that works does not answer in time, the machine is busy, and a person would press again.
        """
        deadline = time.monotonic() + PATIENCE
        expected = Command(command.text, tuple(map(self.filled_in, command.expected)), command.block)
        while True:
            ran = self.shell(command.text)
            missing = expected.missing(ran.stdout)
            judged = (
                ran.returncode == 1 and command.text.startswith("octant status") and not ran.stderr
            )  # it says that calls failed
            if (ran.returncode == 0 or judged) and not missing:
                return
            shown = f"{ran.returncode} $ {command.text}\n{ran.stdout}{ran.stderr}\nnot shown: {missing}"
            again = (repeat and command.expected) or UNANSWERED.search(ran.stderr)
            assert again, shown
            assert time.monotonic() < deadline, shown
            time.sleep(EVERY)
            for earlier in before:
                self.shell(earlier.text)

    def call(self, body: Mapping[str, Any] | None = None, path: str = CHAT, key: str = "") -> Answer:
        """Make a call as a caller."""
        sent = json.dumps(
            body or {"model": "smart", "user": self.user, "messages": [{"role": "user", "content": "Hello"}]}
        ).encode()
        request = urllib.request.Request(self.url + path, sent, {"authorization": f"Bearer {key or self.key}"})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
                return Answer(answer.status, "", answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.loads(error.read())["error"]["code"], error.headers, b"")

    def with_schema(self) -> Answer:
        """Make a call whose answer must fit a schema, on a route that begins with the other provider."""
        form = {"type": "json_schema", "json_schema": {"name": "number", "schema": SCHEMA, "strict": True}}
        messages = [{"role": "user", "content": "Any number."}]
        return self.call({"model": "fast", "user": self.user, "messages": messages, "response_format": form})

    def octant(self, *command: str) -> str:
        """Run an operator's command outside of a page, as patiently."""
        deadline = time.monotonic() + PATIENCE
        while (ran := run(self.env, *command)).returncode:
            assert UNANSWERED.search(ran.stderr), ran.stderr
            assert time.monotonic() < deadline, ran.stderr
        return ran.stdout

    def eventually(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that workers do within seconds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "the harm goes on after the page's commands"
            time.sleep(EVERY)


@contextmanager
def traffic(world: World) -> Iterator[None]:
    """Callers who go on calling, whatever they get, until the end of the block: at first often, so that a symptom shows soon."""
    over = threading.Event()
    pauses = itertools.chain(itertools.repeat(OFTEN, 25), itertools.repeat(SELDOM))

    def calls() -> None:
        while not over.wait(next(pauses)):
            with suppress(OSError):  # a connection that a busy worker closes is one more thing that callers get
                world.call()
                world.with_schema()
                if "support" in {feature.name for feature in installed()}:
                    world.call({"question": "How long does standard shipping take?", "user": world.user}, "/v1/support/answer")

    thread = threading.Thread(target=calls)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=PATIENCE)


def exercise(page: Page, world: World) -> float:
    """Follow a page from its fault to its fix. Returns the minutes from the fault until the harm had ended."""
    practise = page.section("Practise").commands
    ends = [command for command in practise if command.block == 1]
    contained = CONTAINED[page.name]
    took = 0.0
    try:
        with traffic(world):
            began = time.monotonic()
            for command in practise:
                if command.block == 0:
                    assert world.shell(command.text).returncode == 0, command.text
            for title in ("Confirm", "Contain", "Verify"):
                commands = page.section(title).commands
                for number, command in enumerate(commands):
                    world.follow(command, repeat=title != "Contain", before=commands[:number] if title == "Confirm" else ())
                if title == "Contain":
                    world.eventually(lambda: contained(world))
                    took = (time.monotonic() - began) / 60
            for command in ends:
                world.shell(command.text)
        for command in page.section("Fix").commands:
            world.follow(command)
    finally:
        for command in ends:
            world.shell(command.text)
    return took


def _answered_by(provider: str, call: Callable[[World], Answer] = World.call) -> Callable[[World], bool]:
    """The next call is answered by this provider at once: no attempt at another one before."""

    def holds(world: World) -> bool:
        got = call(world)
        return got.status == 200 and (got.headers["octant-provider"], got.headers["octant-attempts"]) == (provider, "1")

    return holds


def _one_user_is_refused(world: World) -> bool:
    """The spender is refused, and others are not."""
    body = {"model": "smart", "user": ROGUE, "messages": [{"role": "user", "content": "Hello"}]}
    return world.call(body, key=world.secret).code == "stopped_by_operator" and world.call().status == 200


def _one_key_is_refused(world: World) -> bool:
    return world.call(key=world.secret).code == "invalid_api_key" and world.call().status == 200


def _stored_without_number(world: World) -> bool:
    """A text that comes now is redacted in its record."""
    messages = [{"role": "user", "content": "My customer number is KD-4821-77."}]
    sent = world.call({"model": "smart", "user": "grace", "messages": messages})
    for _ in range(100):
        found = world.shell(f"octant calls show {sent.headers['x-request-id']}")
        if found.returncode == 0:
            return "KD-4821" not in found.stdout and "<customer-number:" in found.stdout
        time.sleep(0.1)
    return False


def _serves_the_release(world: World) -> bool:
    return world.call().headers["octant-release"] == world.words["RELEASE"]


def _answers(world: World) -> bool:
    return world.call().status == 200


def _records_arrive(world: World) -> bool:
    """A call that is made now can be found."""
    made = world.call()
    time.sleep(EVERY)
    return made.status == 200 and world.shell(f"octant calls show {made.headers['x-request-id']}").returncode == 0


CONTAINED: Mapping[str, Callable[[World], bool]] = {
    "provider-outage.md": _answered_by("openai"),
    "rate-limits.md": _answered_by("openai"),
    "latency.md": _answered_by("openai"),
    "eval-drift.md": _answered_by("openai"),
    "malformed-output.md": _answered_by("anthropic", World.with_schema),
    "cost-spike.md": _one_user_is_refused,
    "budget-exhausted.md": _answers,
    "injection-direct.md": _one_key_is_refused,
    "personal-data.md": _stored_without_number,
    "rollback.md": _serves_the_release,
    "valkey-away.md": _answers,
    "postgres-away.md": _records_arrive,
}
