"""What the process imports from which services are forked (`forked`): all code of ours, and so every library.

prometheus_client decides at its import where the processes of one service share their numbers. Here it decides at the first
number, when the forked process has set its environment.
"""

import gc
from typing import Any

from prometheus_client import values

import app.cli.stack
import app.main
import app.stack.job_worker  # noqa: F401 - the last of three that bind one name
from app.gateway.providers.adapters import preload


def _decide(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the library's own
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    return values.ValueClass(*args, **kwargs)


values.ValueClass = _decide
preload()
gc.collect()
gc.freeze()  # it lives as long as the process: no forked process searches it for garbage
