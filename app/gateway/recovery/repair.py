"""Asking a model once more for output that keeps to its schemas (R4).

The model sees its own answer and what is wrong with it: paths and rules, nothing else. One such call; a model that fails twice
is not asked a third time, the next one of the route is.
"""

from app.domain.calls import Reply
from app.domain.messages import Message, Text, ToolResult

ASK = """\
Your answer does not satisfy the schema:
{violations}
Answer again with the corrected JSON document, and nothing else."""

ASK_FOR_CALLS = """\
This was not run. The tool calls of your last turn do not satisfy the tools' schemas:
{violations}
Make all the calls of that turn again, corrected."""


def turns(reply: Reply, violations: tuple[str, ...]) -> tuple[Message, ...]:
    """The two turns that follow the request: what the model said, and what is wrong with it.

    Both vendors want each tool call answered by a result in the next turn, so that is where wrong calls are told.
    """
    told = "\n".join(f"- {violation}" for violation in violations)
    if reply.tool_uses:
        answer = (Text(ASK_FOR_CALLS.format(violations=told)),)
        return Message("assistant", reply.parts), Message(
            "user", tuple(ToolResult(use.id, answer, is_error=True) for use in reply.tool_uses)
        )
    return (
        Message("assistant", (Text(reply.text or "(empty)"),)),
        Message("user", (Text(ASK.format(violations=told)),)),
    )


CONTINUE = "Your answer was cut off. Go on exactly where it stops. Repeat nothing, explain nothing."


def continuation(said: str) -> tuple[Message, ...]:
    """The two turns that follow the request when another model continues a stream: what the caller has seen, and to go on."""
    return Message("assistant", (Text(said),)), Message("user", (Text(CONTINUE),))
