"""The header ``anthropic-beta``: the names that go on to Claude, and those that do not.

A name goes on if it changes only how a model answers: nothing is kept at the vendor, nothing runs there, no price changes. A few
allow fields that this service honours itself. Any other has no effect, and the answer names it in ``octant-ignored-betas``. A
field that such a name allows is refused by name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.errors import InvalidRequest

HEADER = "anthropic-beta"
IGNORED = "octant-ignored-betas"
MOST = 64
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

ALLOWED = frozenset(
    {
        "advanced-tool-use-2025-11-20",
        "claude-code-20250219",
        "compact-2026-01-12",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "extended-cache-ttl-2025-04-11",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "mid-conversation-system-clear-at-2026-08-21",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "output-300k-2026-03-24",
        "pdfs-2024-09-25",
        "prompt-caching-2024-07-31",
        "prompt-caching-scope-2026-01-05",
        "structured-outputs-2025-11-13",
        "task-budgets-2026-03-13",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
    }
)
# Honoured for every vendor's model: `anthropic_request`, `anthropic_tools`.
HONOURED = frozenset(
    {
        "inline-tools-2026-09-15",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-tool-changes-2026-07-01",
        "per-turn-control-2026-07-01",
    }
)
KNOWN = ALLOWED | HONOURED


@dataclass(frozen=True, slots=True)
class Betas:
    """The names of one request, each once, in their order."""

    allowed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """The answer's header that names what had no effect; none where all went on."""
        return {IGNORED: ",".join(self.ignored)} if self.ignored else {}


def read(values: Iterable[str]) -> Betas:
    """Read the header's values, of which each may hold several names. Raises InvalidRequest for what is no name."""
    names = tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))
    if len(names) > MOST or not all(NAME.fullmatch(name) for name in names):
        raise InvalidRequest(f"{HEADER} holds at most {MOST} names of letters, digits, dots and dashes.", param=HEADER)
    return Betas(tuple(n for n in names if n in ALLOWED), tuple(n for n in names if n not in KNOWN))
