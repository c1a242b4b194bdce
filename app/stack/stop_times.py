"""How long a process takes to stop, at most (ADR 0008). All in seconds."""

END_SECONDS = 5.0  # for calls that were ended to write their error
CLOSE_SECONDS = 20.0  # for the parts to settle and to write or spill records; 5 seconds for most, 16 for records on a slow disk


def stop_seconds(graceful_timeout: float) -> float:
    """From the signal to the end. A supervisor waits longer than this before it kills."""
    return graceful_timeout + END_SECONDS + CLOSE_SECONDS
