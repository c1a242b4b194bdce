"""The rows of `octant budget show`."""

import pytest

from app.cli.budget import _line


@pytest.mark.parametrize(
    ("spent", "cap", "share"),
    [(500_000, 1_000_000, "(50.0 %)"), (0, 1_000_000, "(0.0 %)"), (9_990_000, 1_000_000, "(999.0 %)"),
     (483_992, 1, "(484k times)"), (48_399_200, 1, "(48.4M times)")],
)  # fmt: skip
def test_a_tiny_cap_leaves_the_columns_in_their_places(spent: int, cap: int, share: str) -> None:
    """A cap of one micro-dollar once made a share of 48,399,200 %."""
    usual = _line("tenant-day", 500_000, 0, 1_000_000, "until noon")
    row = _line("tenant-day", spent, 0, cap, "until noon")
    assert share in row
    assert row.index("until noon") == usual.index("until noon")
