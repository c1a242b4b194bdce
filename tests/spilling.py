"""A worker for the tests of spilled records.

It is killed, or its disk is full.

`python spilling.py away FOLDER COUNT` spills and waits to be killed. `full FOLDER COUNT` spills where a file takes 20,000 bytes,
and says how many records it dropped. `back FOLDER URL` brings back, and waits to be killed where the file would be removed.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path

from records import Drops, a_record
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit import spill as spill_module
from app.audit.recorder import Recorder
from app.audit.spill import Spill
from app.security.redaction.redactor import Redactor

REDACTOR = Redactor(b"a key for the spill tests")
NOWHERE = "postgresql+psycopg://none@127.0.0.1:9/nothing"


def ready(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(mode: str, folder: Path, argument: str) -> None:
    drops = Drops()
    capacity, batch = (10, 5) if mode == "full" else (10_000, 200)
    engine = create_async_engine(argument if mode == "back" else NOWHERE)
    recorder = Recorder(engine, REDACTOR, Spill(folder), on_drop=drops, interval=0.01, capacity=capacity, batch=batch)
    await recorder.start()
    if mode == "back":
        await asyncio.sleep(60)
    for number in range(int(argument)):
        recorder.record(a_record(id=f"call_{folder.name}_{number}"))
        if mode == "full":
            await asyncio.sleep(0)
    if mode == "away":
        await recorder.flush()
        ready("spilled")
        await asyncio.sleep(60)
    await recorder.aclose(grace=0.3)
    ready(str(drops.total))


def wait_to_be_killed(_: object) -> None:
    ready("written, not removed")
    time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    if sys.argv[1] == "back":
        setattr(spill_module.SpillLease, "remove", wait_to_be_killed)  # noqa: B010 - mypy forbids the plain way
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
