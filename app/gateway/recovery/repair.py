"""Asking a model once more for output that satisfies its schema (R4).

The model sees its own answer and what is wrong with it: paths and rules, nothing else. One such call; a model that fails twice
is not asked a third time, the next one of the route is.
"""

from app.domain.calls import Reply
from app.domain.messages import Message, Text

ASK = """\
Your answer does not satisfy the schema:
{violations}
Answer again with the corrected JSON document, and nothing else."""


def turns(reply: Reply, violations: tuple[str, ...]) -> tuple[Message, ...]:
    """The two turns that follow the request: what the model said, and what is wrong with it."""
    told = "\n".join(f"- {violation}" for violation in violations)
    return (
        Message("assistant", (Text(reply.text or "(empty)"),)),
        Message("user", (Text(ASK.format(violations=told)),)),
    )
