"""Releases of one route, written into a folder for a test."""

import hashlib
from pathlib import Path

PRICES = """
version = "p1"
effective = 2026-11-01
unit = "micro-USD per million tokens"
sources = ["made up"]
price = [{ provider = "openai", model = "m", input = 2, output = 4, cached_input = 1, cache_write = 3 }]
"""


def write(folder: Path, release_id: str, extra: str = "") -> None:
    """Write a manifest with these further lines."""
    (folder / f"{release_id}.toml").write_text(f"""
id = "{release_id}"
created = 2026-11-01
note = "n"
code = "0.1.0"
prices = {{ file = "prices/p1.toml", sha256 = "{hashlib.sha256(PRICES.encode()).hexdigest()}" }}
{extra}
[routes.smart]
targets = [{{ provider = "openai", model = "m" }}]
max_output_tokens = 10
""")
