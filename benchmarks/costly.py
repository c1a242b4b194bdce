"""Hostile but legal inputs under the body limit, each given to one pure stage: milliseconds of one core (V3: 100 at most).

``python -m benchmarks.costly [word …]`` prints a table, slowest first, and ends with 1 where one is over the limit.
"""

import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from app.api.chat import anthropic_request, openai_request
from app.api.responses import request as responses_request
from app.budget.pricing import most_input_tokens
from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest, OctantError
from app.domain.json_text import DEEPEST, too_deep, too_much
from app.domain.messages import Message, Text, ToolUse
from app.domain.money import MicroUSD
from app.edge.requests import CallContext
from app.gateway.providers import anthropic_wire
from app.gateway.recovery.lenient_json import document_in
from app.security.guard.guard import Guard, fence
from app.security.guard.leaks import LeakWatch, secrets_of
from app.security.redaction.redactor import Redactor

BODY = 4 * 1024 * 1024
MOST_MS, LONGEST_SECONDS = 100.0, 20
WHO = Identity(Tenant("t", "T", MicroUSD(1), MicroUSD(1)), "k", "")
CONTEXT = CallContext("r", WHO, Deadline.after(3600))
GUARD = Guard(allowed_hosts=frozenset({"example.com"}))


def fill(unit: str, size: int = BODY) -> str:
    """``unit`` again and again, up to ``size``."""
    return unit * (size // len(unit))


def chat(messages: str, rest: str = "") -> bytes:
    """A chat completion's body."""
    return f'{{"model":"m","messages":[{messages}]{rest}}}'.encode()


def many(unit: str, size: int = BODY - 1_000) -> str:
    """As many JSON values as fit, with commas between."""
    return ",".join([unit] * (size // (len(unit) + 1)))


def call_of(*texts: str) -> Call:
    """A call with a user's texts."""
    messages = (Message("user", tuple(map(Text, texts))),)
    return Call(id="r", identity=WHO, feature="f", target="t", deadline=CONTEXT.deadline, messages=messages)


PART = '{"type":"text","text":"a"}'


def tool(schema: str) -> str:
    """The rest of a body with one tool."""
    return f',"tools":[{{"type":"function","function":{{"name":"f","parameters":{{"a":{schema}}}}}}}]'


USER = '{"role":"user","content":"a"}'
FIELDS = ",".join(f'"f{number}":1' for number in range(300_000))
BODIES: dict[str, bytes] = {
    "2,000 turns of one role": chat(",".join([f'{{"role":"user","content":[{many(PART, 1_950)}]}}'] * 2_000)),
    "100,000 turns": chat(many(USER)),
    "one turn of many parts": chat(f'{{"role":"user","content":[{many(PART, 4_000_000)}]}}'),
    "many wrong turns": chat(many('{"role":"x"}')),
    "many wrong parts": chat(f'{{"role":"user","content":[{many("1", 4_000_000)}]}}'),
    "many wrong fields": chat(USER, f",{FIELDS}"),
    "many metadata": chat(USER, f',"metadata":{{{FIELDS}}}'),
    "a long number": chat(USER, ',"seed":' + "1" * 4_000_000),
    "a long number in a schema": chat(USER, tool("1" * 4_000_000)),
    "many long numbers in a schema": chat(USER, tool(f"[{many('1' * 4_000)}]")),
    "a long fraction in a schema": chat(USER, tool("1." + "1" * 4_000_000)),
    "empty arrays": chat("", f',"functions":[{many("[]")}]'),
    "empty objects": chat("", f',"functions":[{many("{}")}]'),
    "nested 150 deep again and again": chat("", f',"functions":[{many("[" * 150 + "]" * 150)}]'),
    "empty strings": chat("", ',"modalities":[' + many('""') + "]"),
    "unclosed brackets": b"[" * BODY,
    "an unclosed string": b'"' + b"\\\\" * (BODY // 2),
    "a field again and again": chat("", "," + many('"model":"m"')),
}
TEXTS: dict[str, str] = {
    "prose": fill("The quick brown fox jumps over the lazy dog, and goes home. "),
    "tags": fill("<a "),
    "tags and nonces": fill('<a nonce="01234567">\n'),
    "a long tag": "<" + fill("a"),
    "spaces": fill(" "),
    "line ends": fill("\n"),
    "letters": fill("a"),
    "spelled": fill("a "),
    "hexadecimal": fill("0f "),
    "base64": fill("QUJD"),
    "leet": fill("h3ll0 "),
    "invisible": fill("\u200b", BODY // 3),
    "flags": fill("\U0001f3f4\U000e0061", BODY // 8),
    "ligatures": fill("\ufdfa", BODY // 3),
    "ignore": fill("ignore all "),
    "brackets": fill("["),
    "braces": fill("{"),
    "e-mail addresses": fill("a1@b.co, "),
    "e-mail addresses, a line each": fill("a1@b.co\n"),
    "card numbers": fill("4111 1111 1111 1111\n"),
    "JSON5 comments": "{" + fill("/**/") + "}",
    "JSON5 strings": "{a:'" + fill("\\x41") + "'}",
    "a JSON5 number": "[" + fill("1") + "]",
    "JSON5 depth": fill("[", BODY // 2) + fill("]", BODY // 2),
    "JSON5 keys": "{" + ",".join(f"a{n}:1" for n in range(400_000)) + "}",
}
STAGES: dict[str, Callable[[str], object]] = {
    "screen": lambda text: GUARD.screen(call_of(text)),
    "fence": lambda text: fence("customer", text, nonce="01234567"),
    "tolerant JSON": document_in,
    "redaction": lambda text: Redactor(b"k").redact(text, tenant="t"),
    "leak watch": lambda text: LeakWatch(secrets_of("ocabcdefghijklmnopqr", "A system prompt of some length. " * 40)).feed(text),
    "system text": lambda text: secrets_of("", text),
    "upper bound": lambda text: most_input_tokens((), (Message("user", (Text(text),)),), (), None),
    "depth": too_deep,
    "arguments": anthropic_wire.as_object,
}


def of_body(read: Callable[[bytes, CallContext], object], body: bytes) -> None:
    """Read a body as an endpoint does: one over a limit is refused before it is parsed."""
    if refused := too_much(body, DEEPEST):
        raise InvalidRequest(f"The body {refused}.")
    read(body, CONTEXT)


def cases() -> dict[str, Callable[[], object]]:
    """Every stage with every input."""
    found: dict[str, Callable[[], object]] = {}
    for name, body in BODIES.items():
        found[f"openai: {name}"] = partial(of_body, openai_request.read, body)
        found[f"anthropic: {name}"] = partial(
            of_body, anthropic_request.read, body.replace(b'"model":"m",', b'"model":"m","max_tokens":9,', 1)
        )
    fields = ",".join(f'"f{number}":1' for number in range(140_000))
    found["responses: many unknown fields"] = partial(
        of_body, responses_request.read, f'{{"model":"m","input":"a",{fields}}}'.encode()
    )
    turn = f'{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{{{fields}}}}}]}}'
    found["anthropic: a tool's input of many fields"] = partial(
        of_body, anthropic_request.read, chat(f"{USER},{turn}", ',"max_tokens":9')
    )
    for stage, run in STAGES.items():
        for name, text in TEXTS.items():
            found[f"{stage}: {name}"] = partial(run, text)
    found["screen: 120 long parts"] = partial(GUARD.screen, call_of(*(fill(f"text {n} of words. ", 32_000) for n in range(120))))
    found["screen: 20,000 parts"] = partial(GUARD.screen, call_of(*(f"my order {n} is late" for n in range(20_000))))
    calls = (Message("assistant", (ToolUse("i", "n", "{}"),) * 20_000),)
    found["upper bound: 20,000 tool calls"] = partial(most_input_tokens, (), calls, (), None)
    return found


class _TooLong(Exception):  # noqa: N818 - it ends a measurement
    """The stage was cut off."""


def measured(run: Callable[[], object]) -> tuple[float, str]:
    """Milliseconds of CPU, and how it ended."""

    def stop(_: int, __: FrameType | None) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_SECONDS)
    started = time.process_time()
    try:
        run()
        ended = "ok"
    except OctantError as error:
        ended = f"{error.code}: {error.message[:60]}"
    except _TooLong:
        ended = "CUT OFF"
    except RecursionError:
        ended = "RecursionError"
    finally:
        signal.alarm(0)
    return (time.process_time() - started) * 1_000, ended


def main(wanted: list[str]) -> int:
    """Measure, print, judge."""
    Redactor(b"k").redact("warm 4111 1111 1111 1111", tenant="t")
    GUARD.screen(call_of("warm up, please"))
    rows = [(*measured(run), name) for name, run in cases().items() if all(word in name for word in wanted)]
    over = 0
    for milliseconds, ended, name in sorted(rows, reverse=True):
        over += milliseconds > MOST_MS
        print(f"{milliseconds:9.1f} ms  {name:60s} {ended}")
    print(f"{over} of {len(rows)} over {MOST_MS:.0f} ms")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
