"""The operator who runs a command, as the log and the records name them."""

import os
import pwd
import socket


def user_name() -> str:
    """The name at this machine, whatever a variable such as `LOGNAME` says. A container's number may have none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def actor() -> str:
    """The name with its machine, as in the operators' log."""
    return f"os:{user_name()}@{socket.gethostname()}"
