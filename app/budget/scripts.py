"""The budget's scripts that read amounts: each with what it knows an amount by."""

from pathlib import Path

FOLDER = Path(__file__).parent


def with_amounts(name: str) -> str:
    """The text of a script, behind `amounts.lua`."""
    return f"{(FOLDER / 'amounts.lua').read_text()}\n{(FOLDER / name).read_text()}"
