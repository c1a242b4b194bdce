"""Why the kit changes nothing."""


class Refused(Exception):  # noqa: N818 - it is named for what happened
    """A sentence that says what is wrong and what to do. Nothing was changed."""
