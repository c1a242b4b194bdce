"""Ends a command with exit code 2 on an error (E3).

Python's own 1 would read as a score below a threshold.
"""

import signal
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import typer

from evals.cases import InvalidSuite
from evals.client import Unreachable
from evals.gate import BROKEN


@contextmanager
def failing_closed() -> Generator[None, None, None]:
    """Report an error of the block and exit with code 2."""
    signal.signal(signal.SIGTERM, _interrupted)  # so that started processes are stopped
    try:
        yield
    except (InvalidSuite, Unreachable, OSError) as error:
        print(f"evals: cannot judge: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("evals: interrupted", file=sys.stderr)
    except Exception:  # noqa: BLE001 - printed in full, and never a verdict
        traceback.print_exc()
    else:
        return
    raise typer.Exit(BROKEN)


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """Interrupt once: a second signal, as a demo that stops sends one, would end the removal of what was started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
