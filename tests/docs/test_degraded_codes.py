"""The table of `octant-degraded` names every code that the gateway can set."""

import re
from typing import get_args

from conftest import ROOT

from app.api.responses import tools
from app.gateway import call_state, degradation, rendering
from app.gateway.recovery import output, recovery, relay

CODES = {
    rendering.SHORTENED, rendering.THINKING_SHORTENED, rendering.THINKING_DROPPED, degradation.TRUNCATED, degradation.CHEAPER,
    degradation.NO_RETRIES, degradation.NO_DEAR,
    recovery.PARSED, recovery.REPAIRED, recovery.NARROWED, relay.CONTINUED, output.PATTERN_UNCHECKED,
    call_state.LAST_RESORT,
    *(f"without_{name}" for name in get_args(tools.LeftOut)),
}  # fmt: skip


def test_every_code_has_a_row_and_every_row_is_a_code() -> None:
    section = (ROOT / "docs" / "requests.md").read_text().partition("## Degraded answers")[2].partition("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`([a-z_]+)(?:`|…`)", row)
    }
    assert {name for name in named if not name.startswith("ignored_") and name != "guard"} == CODES
