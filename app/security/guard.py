"""Untrusted text on its way in, and what the model made of it on its way out (S2, S4), in first form.

The boundary is code elsewhere: tool allowlists, typed arguments, scoping by identity. What is here is a fence, which tells
the model where untrusted text begins and ends, and screens, which are signals: they are counted and recorded, and decide
nothing by themselves.
"""

import secrets
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import re2

from app.domain.calls import Call, Reply
from app.domain.messages import Text, ToolResult

# Not the joiners inside emoji and Persian words (200C, 200D), not the marks of right-to-left text (200E, 200F, 2066-2069).
_INVISIBLE = re2.compile(r"[\x{200B}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{FEFF}\x{E0000}-\x{E007F}]")
_FLAG_EMOJI = re2.compile(r"\x{1F3F4}[\x{E0061}-\x{E007A}]+\x{E007F}")  # Scotland's flag is spelled in invisible letters
_FAKE_ROLE = re2.compile(
    r"(?im)(?:<\|?(?:im_start|system|assistant)\|?>|^\s*#{0,3}\s*(?:system|assistant)\s*(?:prompt|message)?\s*:)"
)
_OVERRIDE = re2.compile(
    r"(?i)\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|earlier|all|your|system)\b.{0,40}"
    r"\b(?:instruction|prompt|rule|direction|message|guideline)s?"
)
_URL = re2.compile(r"(?i)(?:https?:|\]\(\s*)[/\\]{2,}[^\s<>\"')\]]+")

SCREENS = {"invisible-characters": _INVISIBLE, "fake-role": _FAKE_ROLE, "override-instructions": _OVERRIDE}


def nonce() -> str:
    """Eight random hexadecimal digits, new for each fence, so that text cannot foresee how its fence ends."""
    return secrets.token_hex(4)


def fence(label: str, text: str, *, nonce: str, **attributes: str) -> str:
    """Wrap untrusted text in ``<label nonce="…">``; anything in it that looks like the fence is broken up.

    Invisible characters go first: they would hide a closing tag from us and not from the model.
    """
    told = "".join(f' {name}="{_attribute(value)}"' for name, value in attributes.items())
    lookalike = re2.compile(rf"(?i)[<\x{{FF1C}}\x{{FE64}}]([\s/\x{{FF0F}}]*{re2.escape(label)})")
    safe = lookalike.sub(lambda found: f"< {found.group(1)}", _INVISIBLE.sub("", text))
    return f'<{label}{told} nonce="{nonce}">\n{safe}\n</{label}>'


class Guard:
    """Looks at what goes in and what comes out. Returns flags such as ``guard:override-instructions``; holds no state."""

    def __init__(self, *, allowed_hosts: frozenset[str], on_flag: Callable[[str], None] = lambda _: None) -> None:
        """``allowed_hosts`` are those that links in answers may point to, subdomains included; ``on_flag`` counts."""
        self._allowed = allowed_hosts
        self._on_flag = on_flag

    def screen(self, call: Call) -> tuple[str, ...]:
        """Flag untrusted text that looks like an attack."""
        texts = [_FLAG_EMOJI.sub("", text) for text in (*call.variables.values(), *_texts(call))]
        return self._flags(name for name, pattern in SCREENS.items() if any(pattern.search(text) for text in texts))

    def check(self, reply: Reply) -> tuple[str, ...]:
        """Flag an answer that links to a host which is not allowed."""
        hosts = (_host(str(match.group(0))) for match in _URL.finditer(reply.text))
        return self._flags("foreign-link" for _ in [host for host in hosts if not self._host_allowed(host)][:1])

    def _host_allowed(self, host: str) -> bool:
        return any(host == allowed or host.endswith("." + allowed) for allowed in self._allowed)

    def _flags(self, names: Iterable[str]) -> tuple[str, ...]:
        flags = tuple(f"guard:{name}" for name in names)
        for flag in flags:
            self._on_flag(flag.removeprefix("guard:"))
        return flags


def _host(url: str) -> str:
    """Where a browser would go: a backslash is a slash to it, and what stands before an @ is not the host."""
    _, _, rest = url.replace("\\", "/").partition("//")
    try:
        return urlsplit("//" + rest.lstrip("/")).hostname or ""
    except ValueError:
        return ""


def _texts(call: Call) -> Iterable[str]:
    """Everything a user or a tool said. System text is the tenant's own."""
    for message in call.messages:
        if message.role != "user":
            continue
        for part in message.parts:
            if isinstance(part, Text):
                yield part.text
            elif isinstance(part, ToolResult):
                yield from (inner.text for inner in part.content if isinstance(inner, Text))


def _attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\n", " ")
