"""The operator who runs a command, as the log and the records name them."""

import getpass
import os
import socket


def user_name() -> str:
    """The name at this machine. A container may run under a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def actor() -> str:
    """The name with its machine, as in the operators' log."""
    return f"os:{user_name()}@{socket.gethostname()}"
