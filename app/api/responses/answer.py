"""Our replies as the Responses API's object. Shapes: platform.openai.com/docs/api-reference/responses/object.

``model`` is the alias of the request, as clients compare it with their request; which model answered is in the headers.
"""

import time
from collections.abc import Sequence
from typing import Any

from app.api.responses.output_items import Numbering, items_of
from app.api.responses.request import Wanted
from app.domain.calls import Reply, Usage
from app.domain.messages import Refusal, StopReason
from app.edge.answers import less

Json = dict[str, Any]
COMPLETED, INCOMPLETE = "completed", "incomplete"
# Reasons for an answer that is not whole. A paused turn goes on when it is sent again, as a cut one does.
REASONS: dict[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "context_window": "max_output_tokens",
    "pause_turn": "max_output_tokens",
    "refusal": "content_filter",
}


class Frame:
    """The fields of one response that do not depend on its output: those of the request, repeated."""

    def __init__(self, wanted: Wanted, *, request_id: str) -> None:
        """``request_id`` names the response; it is not stored under that id."""
        self.request_id = request_id
        self.wanted = wanted
        self._created = int(time.time())

    def numbering(self) -> Numbering:
        """Ids of this response's items."""
        return Numbering(self.request_id, self.wanted.tools, self.wanted.summaries is not None)

    def response(self, status: str, output: list[Json], **more: Any) -> Json:  # noqa: ANN401 - any JSON
        """The object. ``more``: what is known at its end."""
        body, tools = self.wanted.body, self.wanted.tools
        reasoning = body.reasoning
        text = body.text.model_dump(by_alias=True, exclude_none=True) if body.text else {}
        return {
            "id": f"resp_{self.request_id.removeprefix('req_')}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": body.max_tool_calls,
            "model": body.model,
            "output": output,
            "parallel_tool_calls": tools.choice.parallel,
            "previous_response_id": None,
            "prompt_cache_key": body.prompt_cache_key,
            "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": self.wanted.summaries},
            "safety_identifier": body.safety_identifier,
            "service_tier": "default",
            "store": False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
            "tool_choice": body.tool_choice or "auto",
            "tools": list(tools.echo),
            "top_logprobs": 0,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
            "metadata": body.metadata or {},
            **more,
        }

    def ended(self, reply: Reply, output: list[Json], **more: Any) -> Json:  # noqa: ANN401 - any JSON
        """The object at its end."""
        status = status_of(reply)
        details = {"reason": REASONS[reply.stop]} if status == INCOMPLETE else None
        at = int(time.time()) if status == COMPLETED else None
        return self.response(status, output, incomplete_details=details, completed_at=at, usage=usage(reply.usage), **more)


def status_of(reply: Reply) -> str:
    """``incomplete`` for a cut or filtered answer. A refusal in the model's own words is a complete answer."""
    if reply.stop == "refusal" and any(isinstance(part, Refusal) for part in reply.parts):
        return COMPLETED
    return INCOMPLETE if reply.stop in REASONS else COMPLETED


def whole(frame: Frame, reply: Reply, degraded: Sequence[str] = ()) -> Json:
    """A whole response. ``degraded``: the codes of the header. The last item of a cut answer is incomplete."""
    items = items_of(reply.parts, frame.numbering())
    status = status_of(reply)
    output = [item.item(status if item is items[-1] else COMPLETED) for item in items]
    return frame.ended(reply, output, **less(degraded))


def usage(used: Usage) -> Json:
    """Theirs counts cached tokens as part of the input."""
    given = used.input + used.cached_input + used.cache_write
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": used.cached_input, "cache_write_tokens": used.cache_write},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": given + used.output,
    }
