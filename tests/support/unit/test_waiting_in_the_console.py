"""The console knows a tool's result that waits for the customer by its status."""

import json

from app.console.said import WAITS
from app.features.support import tools


def test_the_status_is_the_one_that_the_tools_give() -> None:
    assert WAITS in json.dumps(tools._WAITS)
