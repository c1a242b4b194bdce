"""The product's POST paths, for `tests/flow/test_stop_means_stop.py`: bodies that a stop refuses, paths that go on."""

from typing import Any

REFUSED: dict[str, list[dict[str, Any]]] = {"/v1/extract": [{"text": "Please call me back."}]}
GOES_ON: frozenset[str] = frozenset()
