"""The fields of Anthropic's messages request, down to the last nested one.

Source: the SDK's own request types (`anthropic.types` and `anthropic.types.beta`). A field that may be left out may also be null.
Fields and kinds that we refuse are here too, so that the refusal can name them.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from app.api.chat.anthropic_options import (
    BillingPolicy,
    ContextManagement,
    Diagnostics,
    EffortConfig,
    Metadata,
    Open,
    OutputConfig,
    OutputFormat,
    ThinkingConfig,
    Thread,
)
from app.api.chat.parsing import Many, Wire

Json = dict[str, Any]
ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
MOST_MESSAGES = 100_000  # the vendor's limit
MOST_TOOLS = 10_000  # the vendor's limit for a catalogue that is searched


class CacheControl(Wire):
    """Marks the end of a prefix worth caching. ``scope`` widens the cache at the vendor; ours is always the default one."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
    scope: str | None = None


class Marked(Wire):
    """A part that may end a prefix worth caching."""

    cache_control: CacheControl | None = None


class CitationsConfig(Wire):
    """Whether the model names its sources."""

    enabled: bool | None = None


class TextBlock(Marked):
    """Text."""

    type: Literal["text"]
    text: str
    citations: Many[Json] | None = None


class Base64Source(Wire):
    """An image in the request."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Wire):
    """A file elsewhere."""

    type: Literal["url"]
    url: str = Field(pattern=r"(?i)^https?://")


class FileSource(Wire):
    """A file at the vendor: refused."""

    type: Literal["file"]
    file_id: str


class ImageTransformations(Wire):
    """The vendor scales an image down that is too large, or refuses it."""

    oversized_image: Literal["downsize", "error"] | None = None


class ImageBlock(Marked):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource | FileSource, Field(discriminator="type")]
    transformations: ImageTransformations | None = None


class PdfSource(Wire):
    """A PDF in the request."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainSource(Wire):
    """A document that is plain text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class BlocksSource(Wire):
    """A document in blocks, which citations then count."""

    type: Literal["content"]
    content: str | Many[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class DocumentBlock(Marked):
    """A document to read."""

    type: Literal["document"]
    source: Annotated[PdfSource | PlainSource | BlocksSource | UrlSource | FileSource, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class SearchResultBlock(Marked):
    """A passage that the caller found, for the model to cite."""

    type: Literal["search_result"]
    source: str
    title: str
    content: Many[TextBlock]
    citations: CitationsConfig | None = None


class ToolReferenceBlock(Marked):
    """The name of a deferred tool that a search found."""

    type: Literal["tool_reference"]
    tool_name: str


class BrowserStateBlock(Marked, Open):
    """The tabs of a browser that the caller drives."""

    type: Literal["browser_state"]
    tabs: Many[Json]
    state_changes: Many[Json] | None = None


class Caller(Wire):
    """The caller of a tool: the model itself, or code that it runs at the vendor."""

    type: Literal["direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"]
    tool_id: str | None = None


class ToolUseBlock(Marked):
    """A tool call of the assistant."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Json
    caller: Caller | None = None
    toolset_name: str | None = None


ResultBlock = Annotated[
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock | BrowserStateBlock,
    Field(discriminator="type"),
]


class ToolResultBlock(Marked):
    """A tool's result."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | Many[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


class ThinkingBlock(Wire):
    """Reasoning, returned unchanged. Without a signature it is another model's, which Claude does not take."""

    type: Literal["thinking"]
    thinking: str = ""  # streams of reasoning that is not shown leave it out, and clients send back what they got
    signature: str | None = None


class RedactedThinkingBlock(Wire):
    """Sealed reasoning, returned unchanged."""

    type: Literal["redacted_thinking"]
    data: str


class EarlierBlock(Marked, Open):
    """A block of an earlier answer that the vendor's own tools made: its models read it, no other does."""

    type: Literal[
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "compaction",
    ]


class ToolParam(Marked):
    """A tool offered."""

    type: Literal["custom"] | None = None
    name: ToolName
    description: str | None = None
    input_schema: Json
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: Many[str] | None = None
    input_examples: Many[Json] | None = None


class VendorTool(Marked, Open):
    """A tool whose schema the vendor's models know by its ``type``. Some run at the caller's, some at the vendor."""

    type: str
    name: str | None = None
    defer_loading: bool | None = None
    allowed_callers: Many[str] | None = None


def _kind_of_tool(tool: object) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return "own_tool" if kind in (None, "custom") else "vendor_tool"


AnyTool = Annotated[
    Annotated[ToolParam, Tag("own_tool")] | Annotated[VendorTool, Tag("vendor_tool")], Discriminator(_kind_of_tool)
]


class ToolChange(Open):
    """The tool that a change is about: one of the request's by its name, or with its definition."""

    type: str
    name: str | None = None
    definition: AnyTool | None = None


class ToolChangeBlock(Marked):
    """A tool is offered from here on, or no more."""

    type: Literal["tool_addition", "tool_removal"]
    tool: ToolChange


class RefusedBlock(Open):
    """Files and tools that live at the vendor."""

    type: Literal["container_upload", "mcp_tool_listing", "fallback"]


Block = Annotated[
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ToolReferenceBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | EarlierBlock
    | ToolChangeBlock
    | RefusedBlock,
    Field(discriminator="type"),
]


class WireMessage(Wire):
    """One turn, or instructions between two: how long they stay (``clear_at``), and the effort from there on."""

    role: Literal["user", "assistant", "system"]
    content: str | Many[Block] | None = None
    clear_at: Literal["next_user_message", "never"] | None = None
    output_config: EffortConfig | None = None


class WireToolChoice(Wire):
    """The tools that may or must be called."""

    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class MessagesRequest(Marked):
    """The body. ``cache_control`` at the top marks the last block that can be cached. A ``top_p`` or ``top_k`` of -1 is none."""

    model: str
    max_tokens: int = Field(ge=0)
    messages: Many[WireMessage] = Field(max_length=MOST_MESSAGES)
    prompt: Json | None = None  # ours: see `app.edge.prompts`
    system: str | Many[TextBlock] | None = None
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: Annotated[float, Field(ge=0, le=1)] | Literal[-1] | None = None
    top_k: Annotated[int, Field(ge=0)] | Literal[-1] | None = None
    stop_sequences: Many[str] | None = None
    tools: Many[AnyTool] | None = Field(default=None, max_length=MOST_TOOLS)
    tool_choice: WireToolChoice | None = None
    thinking: ThinkingConfig | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    context_management: ContextManagement | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    diagnostics: Diagnostics | None = None

    # Known, and refused when they ask for something.
    billing_policy: BillingPolicy | None = None
    compaction: Json | None = None
    container: Any = None
    fallback_credit_token: Any = None
    fallbacks: Any = None
    inference_geo: str | None = None
    mcp_servers: Many[Json] | None = None
    speed: Literal["standard", "fast"] | None = None
    thread: Thread | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


class CountRequest(MessagesRequest):
    """The body of a request to count tokens: nothing will be generated."""

    max_tokens: int = 1
