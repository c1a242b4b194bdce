"""Tools of the Responses API: offered to the model, and named again in its answer.

Functions are offered as they are. A namespace's functions get joined names. A custom tool takes free text: it is offered as a
function with one argument, and its grammar is described, not enforced. A search for tools that the caller runs is offered as a
function too. Hosted tools run at the vendor and are refused; web search, which clients offer always and a model need not use, and
the vendor's search for tools, of which none is deferred here, are left out, and `octant-degraded` reports it. So is the making of
images beside the caller's own tools, as an agent offers it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import Field

from app.api.responses.parsing import Json, Many, Wire, kind_of, read
from app.domain import json_text
from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.messages import ToolChoice, ToolSpec
from app.edge.tool_choice import offered

NAME = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
SEARCH: Final = "tool_search"
KNOWN = ("function", "custom", "namespace", "web_search", SEARCH)
IMAGES: Final = "image_generation"
LeftOut = Literal["grammar", "web_search", "tool_search", "image_generation"]  # in `octant-degraded`, behind `without_`
OWN = ("function", "custom", "namespace")
WEB_SEARCH = frozenset({"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"})
HOSTED = frozenset(
    {
        "apply_patch", "code_interpreter", "computer", "computer_use", "computer_use_preview", "file_search", "image_generation",
        "local_shell", "mcp", "programmatic_tool_calling", "shell",
    }
)  # fmt: skip
ANY_OBJECT: Mapping[str, Any] = {"type": "object", "properties": {}}
FREE_TEXT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's input, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class _Tool(Wire):
    """The fields of a tool that the caller runs. A deferred one is offered at once: ``defer_loading`` saves tokens only."""

    name: str = NAME
    description: str | None = None
    defer_loading: bool | None = None
    allowed_callers: Many[Literal["direct", "programmatic"]] | None = None
    async_: Literal[False] | None = Field(default=None, alias="async")


class FunctionTool(_Tool):
    """A function. Without ``strict`` it is strict where its schema is fit for that, as the vendor documents it."""

    type: Literal["function"]
    parameters: Json | None = None
    strict: bool | None = None
    output_schema: Json | None = None


class Format(Wire):
    """The form of a custom tool's input."""

    type: Literal["text", "grammar"]
    definition: str | None = None
    syntax: Literal["lark", "regex"] | None = None


class CustomTool(_Tool):
    """A tool that takes free text."""

    type: Literal["custom"]
    format: Format | None = None


class Namespace(Wire):
    """Tools under one name."""

    type: Literal["namespace"]
    name: str = NAME
    description: str | None = None
    tools: Many[Json]


class SearchTool(Wire):
    """A search among tools that are deferred: by the vendor, or by the caller, who then adds them."""

    type: Literal["tool_search"]
    execution: Literal["server", "client"] | None = None
    description: str | None = None
    parameters: Json | None = None


class AllowedTools(Wire):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Many[Json]


class NamedTool(Wire):
    """The tool that must be called."""

    type: Literal["function", "custom"]
    name: str


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a request. ``echo``: as the response repeats them. ``without``: what was offered and left out.

    ``spaces`` maps a joined name to its namespace and its name there; ``custom`` holds the names of custom tools. ``search``:
    whether the caller offers to search for tools.
    """

    specs: tuple[ToolSpec, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    echo: tuple[Json, ...] = ()
    without: tuple[str, ...] = ()
    custom: frozenset[str] = frozenset()
    spaces: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    search: bool = False


def joined(namespace: str | None, name: str) -> str:
    """The one name that a model sees for a tool of a namespace."""
    return f"{namespace}__{name}" if namespace else name


def custom_arguments(text: str) -> str:
    """A custom tool's input as the arguments of its function."""
    return json.dumps({"input": text}, ensure_ascii=False)


def custom_input(arguments: str) -> str:
    """The input in the arguments of a custom tool's function; arguments of another form as they are."""
    try:
        found = json_text.read(arguments)
    except ValueError:
        return arguments
    text = found.get("input") if isinstance(found, dict) else None
    return text if isinstance(text, str) else arguments


def read_tools(tools: list[Json], added: Iterable[tuple[Json, str]], choice: str | Json | None, *, parallel: bool) -> Tools:
    """Read tools and their choice. Raises InvalidRequest or UnsupportedParameter.

    ``added`` come from input items, with their places. One that is added again replaces the earlier one.
    """
    reading = _Reading(own=any(tool.get("type") in OWN for tool in tools))
    for index, tool in enumerate(tools):
        reading.add(tool, f"tools[{index}]")
    echo, reading.echo, reading.again = reading.echo, [], True
    for tool, at in added:
        reading.add(tool, at)
    reading.echo = echo
    specs, chosen = _chosen(reading.specs, choice, parallel=parallel)
    return Tools(
        specs=tuple(specs.values()),
        choice=offered(chosen, specs.values()),
        echo=tuple(reading.echo),
        without=tuple(dict.fromkeys(reading.without)),
        custom=frozenset(reading.custom),
        spaces=reading.spaces,
        search=reading.search,
    )


class _Reading:
    """The tools read so far."""

    def __init__(self, *, own: bool) -> None:
        """``own``: whether the caller offers tools that it runs."""
        self.own = own
        self.specs: dict[str, ToolSpec] = {}
        self.echo: list[Json] = []
        self.without: list[LeftOut] = []
        self.custom: set[str] = set()
        self.spaces: dict[str, tuple[str, str]] = {}
        self.search = False
        self.again = False  # whether a name may come again

    def add(self, value: Json, at: str) -> None:
        """Read one tool."""
        if left := self._left_out(value.get("type")):
            self.without.append(left)
            self.echo.append(value)
            return
        kind = kind_of(value, at, known=KNOWN, refused=HOSTED)
        if kind == "namespace":
            space = read(Namespace, value, at)
            for index, inner in enumerate(space.tools):
                inside = f"{at}.tools[{index}]"
                kind_of(inner, inside, known=("function", "custom"))
                self._offer(inner, inside, space)
            self.echo.append(value)
        elif kind == SEARCH:
            self._offer_search(read(SearchTool, value, at), at)
            self.echo.append(value)
        else:
            self.echo.append(self._offer(value, at, None))

    def _left_out(self, kind: object) -> LeftOut | None:
        """The name of a tool that is left out; None for any other."""
        if isinstance(kind, str) and kind in WEB_SEARCH:
            return "web_search"
        return IMAGES if kind == IMAGES and self.own else None

    def _offer_search(self, tool: SearchTool, at: str) -> None:
        """Offer the caller's search as a function. The vendor's is left out: all deferred tools are offered at once."""
        if tool.execution != "client":
            self.without.append(SEARCH)
            return
        self._claim(SEARCH, at)
        self.search = True
        self.specs[SEARCH] = ToolSpec(SEARCH, tool.description or "", tool.parameters or ANY_OBJECT)

    def _claim(self, name: str, at: str) -> None:
        if name in self.specs and not self.again:
            raise InvalidRequest(f"Two tools have the name of '{at}'.", param=f"{at}.name")

    def _offer(self, value: Json, at: str, space: Namespace | None) -> Json:
        """Offer a function or a custom tool. Returns it as the response repeats it."""
        tool = read(FunctionTool, value, at) if value["type"] == "function" else read(CustomTool, value, at)
        if tool.allowed_callers and "direct" not in tool.allowed_callers:
            raise UnsupportedParameter(
                "Programmatic tool calling is not supported by this service.", param=f"{at}.allowed_callers"
            )
        name = joined(space.name if space else None, tool.name)
        self._claim(name, at)
        if space:
            self.spaces[name] = (space.name, tool.name)
        if isinstance(tool, FunctionTool):
            schema = tool.parameters or ANY_OBJECT
            strict = fits_strict(schema) if tool.strict is None else tool.strict
            self.specs[name] = ToolSpec(name, tool.description or "", schema, strict=strict)
            return {**value, "parameters": schema, "strict": strict, "description": tool.description}
        self.custom.add(name)
        if tool.format and tool.format.type == "grammar":
            self.without.append("grammar")
        self.specs[name] = ToolSpec(name, _described(tool), FREE_TEXT)
        return value


def _described(tool: CustomTool) -> str:
    if tool.format is None or tool.format.type == "text":
        return tool.description or ""
    return f"{tool.description or ''}\n\nThe input must match this {tool.format.syntax} grammar:\n{tool.format.definition or ''}"


def fits_strict(schema: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a schema keeps the rules of strict mode: every object closed, every property required."""
    if isinstance(schema, list | tuple):
        return all(fits_strict(inner) for inner in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if properties is not None or schema.get("type") == "object":
        required = schema.get("required") or []
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if not isinstance(properties or {}, dict) or set(properties or {}) - {name for name in required if isinstance(name, str)}:
            return False
    return all(fits_strict(inner) for inner in schema.values())


def _chosen(specs: Mapping[str, ToolSpec], choice: Any, *, parallel: bool) -> tuple[Mapping[str, ToolSpec], ToolChoice]:  # noqa: ANN401 - checked here
    """The tools on offer and the choice among them."""
    if choice is None or isinstance(choice, str):
        modes: Mapping[Any, Literal["auto", "none", "any"]] = {None: "auto", "auto": "auto", "none": "none", "required": "any"}
        if choice not in modes:
            raise InvalidRequest(
                "Invalid value for 'tool_choice': expected none, auto, required or an object.", param="tool_choice"
            )
        return specs, ToolChoice(modes[choice], None, parallel)
    kind = kind_of(choice, "tool_choice", known=("function", "custom", "allowed_tools"), refused=HOSTED | WEB_SEARCH | {SEARCH})
    if kind == "allowed_tools":
        allowed = read(AllowedTools, choice, "tool_choice")
        names = {str(tool.get("name", tool.get("type"))) for tool in allowed.tools}
        kept = {name: spec for name, spec in specs.items() if name in names}
        return kept, ToolChoice("any" if allowed.mode == "required" else "auto", None, parallel)
    return specs, ToolChoice("tool", read(NamedTool, choice, "tool_choice").name, parallel)
