"""Files of customers' data that a command writes: for their owner alone, and whole or not at all."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from app.domain.errors import InvalidRequest


@contextmanager
def private_file(out: Path) -> Generator[BinaryIO, None, None]:
    """Yield a new file beside ``out``, which takes its place at the end of the block. Raises InvalidRequest where none can be.

    Its name is made up and it must be new, so that no other user can put a file or a link in its way (`mkstemp`).
    """
    try:
        made = tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name[:64]}.", suffix=".part", delete=False)  # noqa: SIM115 - below
    except OSError as error:
        raise InvalidRequest(f"No file can be written in {out.parent}: {error.strerror}.", param="out") from error
    unfinished = Path(made.name)
    try:
        with made as file:
            yield cast("BinaryIO", file)
        unfinished.replace(out)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
