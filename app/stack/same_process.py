"""A process found again by its pid and its start. A pid alone may be another program's by now.

The start is counted from the system's boot where the kernel does so (Linux). psutil adds the boot's time of day to it, which
changes when the clock is set: a process that still runs would look like another one.
"""

import psutil

EXACT = 0.01  # seconds, the kernel's own unit


def started(process: psutil.Process) -> float:
    """The start of a process, in seconds: the same number as long as it runs."""
    began: float = process.create_time()
    return began - psutil.boot_time() if psutil.LINUX else began


def same(process: psutil.Process, noted: float) -> bool:
    """Whether this is the process with that start. A note of an earlier version has the time of day."""
    return any(abs(start - noted) < EXACT for start in (started(process), process.create_time()))
