"""How busy this machine is, for a rehearsal that failed on it: a late step may be the machine's fault."""

import os

TOO_BUSY = 1.5  # processes that want a core, for each of them


def load_words() -> str:
    """The load of the last minute, and whether it may be why something was late."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    why = ": the machine is overloaded, which may be why" if load > TOO_BUSY * cores else ""
    return f"load {load:.1f} on {cores} cores{why}"
