"""A command names the zone of each time that it prints: a console shows times in the reader's zone, a terminal in UTC."""

import re
from pathlib import Path

CLI = Path(__file__).parents[2] / "app/cli"
TIME = re.compile(r"\{[^{}\n]*:[^{}\n]*%H:%M(?::%S)?\}(.{0,4})")


def test_every_time_that_a_command_prints_has_its_zone() -> None:
    bare = [
        f"{path.name}: {found[0]}"
        for path in sorted(CLI.glob("*.py"))
        for found in TIME.finditer(path.read_text())
        if not found[1].startswith((" UTC", "Z"))
    ]
    assert bare == []
