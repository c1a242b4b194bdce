"""The API's reference in a browser, in development alone: `/docs`, and `/`, which leads there.

One page and one style sheet of ours: no script, nothing from another host, and a policy that forbids both.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.edge.admin import HEADERS

Json = Mapping[str, Any]
SAFE = {**HEADERS, "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"}
STYLE = Path(__file__).with_name("reference.css")
LINKS = {"openapi": "/openapi.json", "live": "/livez", "ready": "/readyz", "version": "/version"}
EXAMPLES = (
    """curl -s {base}/v1/models -H "authorization: Bearer $KEY\"""",
    """curl -s {base}/v1/chat/completions -H "authorization: Bearer $KEY" \\
  -d '{{"model": "smart", "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
    """curl -s {base}/v1/messages -H "x-api-key: $KEY" \\
  -d '{{"model": "smart", "max_tokens": 100, "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
)
DEPTH = 2  # of objects within objects that a type is written out for


def router(document: Callable[[], Json], base: str) -> APIRouter:
    """The routes. ``document`` gives the OpenAPI document once it is complete; ``base`` is the address in the examples."""
    made = APIRouter(include_in_schema=False)
    examples = [example.format(base=base) for example in EXAMPLES]

    @made.get("/")
    async def root(request: Request) -> Response:
        """Lead a browser to the reference; give any other client the addresses."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/docs", 303, headers=SAFE)
        return JSONResponse({"service": "Octant", "docs": "/docs", **LINKS, "examples": examples})

    @made.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(page(document(), examples), headers=SAFE)

    @made.get("/docs/style.css")
    async def style() -> Response:
        return Response(STYLE.read_text(encoding="utf-8"), media_type="text/css", headers=SAFE)

    return made


def page(document: Json, examples: Iterable[str]) -> str:
    """The whole page for an OpenAPI document."""
    by_tag: dict[str, list[tuple[str, str, Json]]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            by_tag[operation.get("tags", ["other"])[0]].append((method, path, operation))
    ordered = sorted(by_tag.items(), key=lambda group: group[0] == "health")  # last: a reader comes for the rest
    links = "".join(f'<li><a href="{to}">{to}</a></li>' for to in LINKS.values())
    shown = "".join(f"<pre><code>{escape(example)}</code></pre>" for example in examples)
    groups = "".join(_group(name, found, document) for name, found in ordered)
    title, version = escape(document["info"]["title"]), escape(document["info"]["version"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API</title><link rel="stylesheet" href="/docs/style.css"></head><body><div class="page">
<nav aria-label="Operations"><a href="#top"><strong>{title}</strong></a>{"".join(_contents(ordered))}</nav>
<main id="top"><h1>{title} API <small>{version}</small></h1>
<p class="lead">Send your key as <code>authorization: Bearer …</code> or <code>x-api-key: …</code>. <code>make demo</code> prints
one that works. Clients name a model alias; the live release decides which vendor's model answers.</p>
<ul class="links">{links}</ul>{shown}{groups}</main></div></body></html>"""


def _contents(groups: Iterable[tuple[str, list[tuple[str, str, Json]]]]) -> Iterator[str]:
    for name, operations in groups:
        items = "".join(
            f'<li><a href="#{_anchor(method, path)}"><span class="verb {method}">{method}</span>'
            f"<span>{_breakable(path)}</span></a></li>"
            for method, path, _ in operations
        )
        yield f"<section><h2>{escape(name)}</h2><ul>{items}</ul></section>"


def _group(name: str, operations: Iterable[tuple[str, str, Json]], document: Json) -> str:
    return f"<h2>{escape(name.capitalize())}</h2>" + "".join(_operation(*operation, document) for operation in operations)


def _operation(method: str, path: str, operation: Json, document: Json) -> str:
    scopes = sorted({scope for way in operation.get("security", []) for needed in way.values() for scope in needed})
    scope = f'<span class="scope">scope {escape(" or ".join(scopes))}</span>' if scopes else ""
    about = operation.get("description") or operation.get("summary", "")
    first, _, rest = about.partition("\n\n")
    parts = [f"<p>{_prose(rest)}</p>" if rest else ""]
    for place in ("path", "query", "header"):
        found = [(p["name"], p.get("required", False), p["schema"]) for p in operation.get("parameters", []) if p["in"] == place]
        parts.append(_table(f"{place} parameters" if place != "header" else "headers", found, document))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    body = _resolved(body, document)
    needed = body.get("required", [])
    fields = [(name, name in needed, schema) for name, schema in body.get("properties", {}).items()]
    parts.append(_table("body", sorted(fields, key=lambda field: not field[1]), document))
    rows = "".join(
        f"<tr><td>{escape(status)}</td><td>{_prose(response.get('description', ''))}</td></tr>"
        for status, response in sorted(operation["responses"].items())
    )
    parts.append(f"<h3>answers</h3><table>{rows}</table>")
    return (
        f'<details><summary><span class="verb {method}">{method}</span>'
        f'<span class="path">{_breakable(path)}</span>{scope}<span class="says">{_prose(first)}</span></summary>'
        f'<div class="body" id="{_anchor(method, path)}">{"".join(parts)}</div></details>'
    )


def _table(title: str, fields: Iterable[tuple[str, bool, Json]], document: Json) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}{' <span class=needed>required</span>' if needed else ''}</td>"
        f'<td><span class="type">{escape(_type(schema, document))}</span> {_prose(schema.get("description", ""))}</td></tr>'
        for name, needed, schema in fields
    )
    return f"<h3>{title}</h3><table>{rows}</table>" if rows else ""


def _resolved(schema: Json, document: Json) -> Json:
    """A schema itself, where another is named."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Json = document.get("components", {}).get("schemas", {}).get(name, schema) if name else schema
    return found


def _type(schema: Json, document: Json, depth: int = 0) -> str:
    """A schema's type in words: ``string (1 to 128 characters)``, ``"a" | "b"``, ``list of {role, content}``."""
    schema = _resolved(schema, document)
    if options := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return " | ".join(f'"{option}"' for option in options)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        types = dict.fromkeys(_type(choice, document, depth) for choice in choices if choice.get("type") != "null")
        return " | ".join(types)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), document, depth)}{_bounds(schema, 'Items', '')}"
    if kind == "object" and schema.get("properties") and depth < DEPTH:
        return "{" + ", ".join(schema["properties"]) + "}"
    if kind == "string":
        return f"string{_bounds(schema, 'Length', ' characters')}"
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    return f"{kind}{_between(low, high, '')}"


def _bounds(schema: Json, what: str, unit: str) -> str:
    return _between(schema.get(f"min{what}"), schema.get(f"max{what}"), unit)


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" ({low:,.10g} or more{unit})"
    return f" (up to {high:,.10g}{unit})" if low is None else f" ({low:,.10g} to {high:,.10g}{unit})"


def _breakable(path: str) -> str:
    """A path that a narrow screen breaks before a slash."""
    return escape(path).replace("/", "<wbr>/")


def _anchor(method: str, path: str) -> str:
    return f"{method}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"


def _prose(text: str) -> str:
    """A docstring's text: code between backquotes."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(text)).replace("</code> <code>", "</code> · <code>")
