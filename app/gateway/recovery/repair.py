"""Repair: one further attempt for output that keeps to its schemas (R4).

The model sees its own answer and the violations: paths and rules, nothing else. A model that fails its repair gets no third
attempt; the next target of the route is tried.
"""

from app.domain.calls import Reply
from app.domain.messages import Message, Text, ToolResult
from app.gateway.recovery.output import NOT_CALLED

ASK = """\
Your answer does not satisfy the schema:
{violations}
Answer again with the corrected JSON document, and nothing else."""

ASK_FOR_CALLS = """\
This was not run. The tool calls of your last turn do not satisfy the tools' schemas:
{violations}
Make all the calls of that turn again, corrected."""

ASK_FOR_A_CALL = """\
Your answer does not call the tool that this request requires, so it was not delivered. Call the tool now."""


def turns(reply: Reply, violations: tuple[str, ...]) -> tuple[Message, ...]:
    """The two turns that follow the request: the model's answer and its violations.

    Both vendors want each tool call answered by a result in the next turn, so violations of wrong calls go there.
    """
    listed = "\n".join(f"- {violation}" for violation in violations)
    if reply.tool_uses:
        answer = (Text(ASK_FOR_CALLS.format(violations=listed)),)
        return Message("assistant", reply.parts), Message(
            "user", tuple(ToolResult(use.id, answer, is_error=True) for use in reply.tool_uses)
        )
    ask = ASK_FOR_A_CALL if NOT_CALLED in violations else ASK.format(violations=listed)
    return Message("assistant", (Text(reply.text or "(empty)"),)), Message("user", (Text(ask),))


CONTINUE = "Your answer was cut off. Go on exactly where it stops. Repeat nothing, explain nothing."


def continuation(delivered: str) -> tuple[Message, ...]:
    """The two turns by which another model continues a stream."""
    return Message("assistant", (Text(delivered),)), Message("user", (Text(CONTINUE),))
