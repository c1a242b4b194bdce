"""Files of customers' data that a command writes: for their owner alone, and whole or not at all."""

import errno
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from app.domain.errors import InvalidRequest

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def private_file(out: Path) -> Generator[BinaryIO, None, None]:
    """Yield a new file beside ``out``, which takes its place at the end of the block. Raises InvalidRequest where none can be.

    Its name is made up and it must be new, so that no other user can put a file or a link in its way (`mkstemp`).
    """
    try:
        made = tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name[:64]}.", suffix=".part", delete=False)  # noqa: SIM115 - below
    except OSError as error:
        raise _unwritable(out, error) from error
    unfinished = Path(made.name)
    try:
        with made as file:
            yield cast("BinaryIO", file)
        unfinished.replace(out)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:  # no store's
            raise _unwritable(out, error) from error
        raise


def _unwritable(out: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"No file can be written in {out.parent}: {error.strerror}.", param="out")
