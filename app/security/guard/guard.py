"""Guards untrusted input, and the model's output from it (S2, S4).

The boundary is code: tool allowlists, typed arguments, scoping by identity, confirmation of side effects, links to allowed hosts
only, a canary that stops a leak. It holds for a model that complies with every injection. The fence shows a model where
untrusted text begins and ends; the screens are signals. Each prompt's policy decides the effect of a failed check.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.domain.calls import Call
from app.domain.messages import Document, Native, Text, ToolResult
from app.domain.routes import GuardAction, Pin
from app.security.guard import leaks
from app.security.guard.links import Links
from app.security.guard.outgoing import CANARY, FOREIGN_LINK, SYSTEM_PROMPT, Outgoing
from app.security.guard.screens import INVISIBLE, MOST_READ, SCREENS, screened

MOST_SCREENED, PER_TEXT = 160_000, 200  # characters that are screened of one call; what each text counts as besides its own
UNCONFIRMED = "unconfirmed-action"
CHECKS = (*SCREENS, CANARY, SYSTEM_PROMPT, FOREIGN_LINK, UNCONFIRMED)
# A prompt is ours, so forbidden output is stopped. Input is only flagged, since a screen may be wrong about a customer.
PROMPT_POLICY: Mapping[str, GuardAction] = {
    **dict.fromkeys(SCREENS, "flag"),
    **dict.fromkeys((CANARY, SYSTEM_PROMPT, FOREIGN_LINK, UNCONFIRMED), "block"),
}
# A model's alias is the tenant's own product: its prompt, its tools, its page. We report what we see; its route may demand more.
ALIAS_POLICY: Mapping[str, GuardAction] = {
    **dict.fromkeys((*SCREENS, FOREIGN_LINK), "flag"),
    **dict.fromkeys((CANARY, SYSTEM_PROMPT, UNCONFIRMED), "off"),
}


def nonce() -> str:
    """Eight random hexadecimal digits, new for each fence, so that text cannot foresee how its fence ends."""
    return secrets.token_hex(4)


def fence(label: str, text: str, *, nonce: str, **attributes: str) -> str:
    """Wrap untrusted text in ``<label nonce="…">``; anything in it that looks like the fence is broken up.

    Invisible characters go first: they would hide a closing tag from us and not from the model.
    """
    written = "".join(f' {name}="{_attribute(value)}"' for name, value in attributes.items())
    lookalike = re.compile(rf"[<\uff1c\ufe64](?=[\s/\uff0f]*+{re.escape(label)})", re.IGNORECASE)
    safe = lookalike.sub("< ", INVISIBLE.sub("", text))
    return f'<{label}{written} nonce="{nonce}">\n{safe}\n</{label}>'


def unknown_checks(names: Iterable[str]) -> str:
    """Describe the checks that a policy names and that do not exist; empty if all exist."""
    unknown = sorted(set(names) - set(CHECKS))
    return f"no check {', '.join(unknown)}. Checks: {', '.join(CHECKS)}." if unknown else ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The effect of a failed check: ``off`` none, ``log`` counts and records, ``flag`` also reports, ``block`` also stops."""

    actions: Mapping[str, GuardAction]

    @classmethod
    def of(cls, pin: Pin) -> "Policy":
        """A prompt's own over the prompts' default; else the route's own over the aliases'."""
        if pin.prompt:
            return cls({**PROMPT_POLICY, **pin.prompt.guard})
        return cls({**ALIAS_POLICY, **pin.route.guard})

    def undelivered(self, flags: Iterable[str]) -> frozenset[str]:
        """The flags that are recorded and not delivered to the caller."""
        return frozenset(flag for flag in flags if self._action(flag) == "log")

    def blocks(self, flags: Iterable[str]) -> bool:
        """Return whether one of the flags stops the call."""
        return any(self._action(flag) == "block" for flag in flags)

    def _action(self, flag: str) -> GuardAction:
        return self.actions.get(flag.removeprefix("guard:"), "off")


class Guard:
    """Checks input and output. Returns flags such as ``guard:override-instructions``; holds no state."""

    def __init__(
        self, *, allowed_hosts: frozenset[str], on_flag: Callable[[str], None] = lambda _: None, secret: bytes = b""
    ) -> None:
        """``allowed_hosts`` are those that links in answers may point to; ``on_flag`` counts; ``secret`` keys the canaries."""
        self.links = Links(allowed_hosts)
        self._on_flag = on_flag
        self._secret = secret

    def canary(self, pin: Pin) -> str:
        """The word that a prompt's system text ends with; none for a model's alias, whose system text is the tenant's."""
        return leaks.canary(self._secret, pin.release, pin.prompt.name) if pin.prompt else ""

    def screen(self, call: Call, policy: Policy = Policy(ALIAS_POLICY)) -> tuple[str, ...]:
        """Flag untrusted text that looks like an attack."""
        found: set[str] = set()
        left = MOST_SCREENED
        for text in (*call.variables.values(), *reversed([*_texts(call)])):  # the newest first: older ones were new before
            left -= PER_TEXT + min(len(text), 2 * MOST_READ)
            if left < 0:
                break
            found |= screened(text)
        return self.flags(name for name in SCREENS if name in found and policy.actions.get(name, "off") != "off")

    def outgoing(self, policy: Policy, pin: Pin, call: Call, system: str) -> Outgoing:
        """The check of one reply. ``system`` is the system text as sent."""
        return Outgoing(self.links, policy.actions, self.canary(pin), system, call.output, call.finish)

    def last_look(self, pin: Pin) -> Outgoing:
        """The last check of a product's whole answer to a prompt: see `Outgoing.document`."""
        prompt = pin.prompt
        return Outgoing(self.links, Policy.of(pin).actions, self.canary(pin), prompt.system if prompt else "")

    def flags(self, names: Iterable[str]) -> tuple[str, ...]:
        """Count what was found, and give it the name that records and headers use."""
        flags = tuple(f"guard:{name}" for name in names)
        for flag in flags:
            self._on_flag(flag.removeprefix("guard:"))
        return flags


def _texts(call: Call) -> Iterable[str]:
    """All text of users and tools. System text is the tenant's own."""
    for message in call.messages:
        if message.role != "user":
            continue
        for part in message.parts:
            if isinstance(part, Text | Document | Native) and part.text:
                yield part.text
            elif isinstance(part, ToolResult):
                yield from (inner.text for inner in part.content if isinstance(inner, Text | Document | Native) and inner.text)


def _attribute(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\n", " ")
