"""The options of Anthropic's messages request: reasoning, form, effort, long conversations, the vendor's own service.

Source: the SDK's own request types (`anthropic.types` and `anthropic.types.beta`).
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.chat.parsing import Many, Wire

Json = dict[str, Any]


class Open(Wire):
    """A part whose fields are passed on unchanged: the vendor alone knows them all."""

    model_config = ConfigDict(extra="allow")


class ThinkingConfig(Wire):
    """Reasoning: ``budget_tokens`` where enabled; clients with one form for all send 0 elsewhere."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | Literal[0] | None = None
    display: Literal["summarized", "omitted", "updates"] | None = None
    block_binding: Json | None = None


class Metadata(Wire):
    """The end user."""

    user_id: str | None = Field(default=None, max_length=256)


class OutputFormat(Wire):
    """A schema for the answer."""

    type: Literal["json_schema"]
    schema_: Json = Field(alias="schema")


class TaskBudget(Wire):
    """Tokens that the model may plan with over a whole task."""

    type: Literal["tokens"]
    total: int
    remaining: int | None = None


class EffortConfig(Wire):
    """How much work the answer is worth."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class OutputConfig(EffortConfig):
    """The required form of the answer, beside its effort."""

    format: OutputFormat | None = None
    task_budget: TaskBudget | None = None


class Edit(Open):
    """A rule by which the vendor shortens a long conversation."""

    type: Literal["clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112"]
    keep: Json | str | None = None
    pause_after_compaction: bool | None = None


class ContextManagement(Wire):
    """Rules by which the vendor shortens a long conversation."""

    edits: Many[Edit] | None = None


class Thread(Wire):
    """Conversations that the vendor keeps: refused."""

    type: Literal["create", "continue"]
    previous_message_id: str | None = None


class BillingPolicy(Wire):
    """The organisation that pays."""

    type: Literal["billing_policy"]
    bill_to: Literal["self", "user_profile"] | None = None


class Diagnostics(Wire):
    """Why the vendor's cache did not hold; by the vendor's message ids, which callers do not see."""

    previous_message_id: str | None = None
