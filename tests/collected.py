"""`octant serve`, whose worker counts what only the collector can free.

SIGUSR2 switches the collector off in a worker; the next one collects, and writes the number of objects to the file that
`COLLECTED_FILE` names.
"""

import gc
import os
import signal
from pathlib import Path

from app.settings import load
from app.stack.draining import DrainingServer
from app.stack.serve import serve


def _toggle(*_: object) -> None:
    if gc.isenabled():
        gc.collect()
        gc.disable()
        return
    found = gc.collect()
    gc.enable()
    file = Path(os.environ["COLLECTED_FILE"])
    written = file.with_suffix(".new")
    written.write_text(str(found))
    written.rename(file)


if __name__ == "__main__":
    install = DrainingServer.install_signals

    def install_signals(self: DrainingServer) -> None:
        """As before, and SIGUSR2 counts."""
        install(self)
        signal.signal(signal.SIGUSR2, _toggle)

    DrainingServer.install_signals = install_signals  # type: ignore[method-assign]
    serve(load)
