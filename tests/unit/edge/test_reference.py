"""`/` and `/docs` are served in development only, under a strict policy."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Match

from app.edge.reference import page, router
from app.main import create_app
from app.settings import Settings
from app.telemetry.metrics import Metrics

HOSTILE = '<script>alert("x")</script>'
DOCUMENT = {
    "info": {"title": f"A {HOSTILE}", "version": "1"},
    "components": {"schemas": {"Note": {"type": "object", "properties": {"text": {"type": "string"}}}}},
    "paths": {
        "/v1/things/{id}": {
            "post": {
                "tags": ["things"],
                "description": f"Make one: `name` {HOSTILE}.\n\nMore of it.",
                "security": [{"bearer": ["call"]}],
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 8}}],
                "requestBody": {"content": {"application/json": {"schema": {
                    "required": ["name"],
                    "properties": {
                        "count": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 999999999}, {"type": "null"}]},
                        "name": {"type": "string", "minLength": 1, "maxLength": 255},
                        "notes": {"type": "array", "items": {"$ref": "#/components/schemas/Note"}},
                        "kind": {"enum": ["a", "b"]},
                    },
                }}}},
                "responses": {"200": {"description": "Successful"}, "404": {"description": "`not_found`"}},
            }
        }
    },
}  # fmt: skip


class Reader(HTMLParser):
    """Collects what a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI(docs_url=None)
    app.include_router(router(lambda: DOCUMENT, "http://localhost:8080"))
    with TestClient(app) as client:
        yield client


def test_the_reference_shows_every_operation_with_types_scopes_and_answers() -> None:
    text = " ".join(read(page(DOCUMENT, ["curl one"])).text.split())
    for shown in (
        "/v1 /things /{id}", "scope call", "string (up to 8 characters)", "integer (1 to 999,999,999)", '"a" | "b"',
        "list of {text}", "string (1 to 255 characters)", "not_found", "More of it.", "curl one",
    ):  # fmt: skip
        assert shown in text, shown


def test_every_text_of_the_document_is_escaped() -> None:
    assert "script" not in {tag for tag, _ in read(page(DOCUMENT, [HOSTILE])).tags}


def test_the_reference_needs_nothing_inline_and_nothing_from_another_host() -> None:
    for tag, attributes in read(page(DOCUMENT, [])).tags:
        assert tag not in ("script", "style", "iframe", "img")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("href", "src"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), attributes


def test_every_link_within_the_page_leads_to_an_operation() -> None:
    tags = read(page(DOCUMENT, [])).tags
    ids = {attributes.get("id") for _, attributes in tags}
    anchors = [href[1:] for _, attributes in tags if (href := attributes.get("href") or "").startswith("#")]
    assert len(anchors) == 2
    assert set(anchors) <= ids


def test_the_root_redirects_browsers_to_the_reference_and_answers_others_in_json(client: TestClient) -> None:
    browser = client.get("/", headers={"accept": "text/html,application/xhtml+xml"}, follow_redirects=False)
    assert (browser.status_code, browser.headers["location"]) == (303, "/docs")
    answer = client.get("/").json()
    assert answer["docs"] == "/docs"
    assert len(answer["examples"]) == 3
    assert all("http://localhost:8080/v1/" in example for example in answer["examples"])


@pytest.mark.parametrize("path", ["/docs", "/docs/style.css"])
def test_the_pages_are_served_under_a_strict_policy(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert re.match(r"default-src 'none'; style-src 'self';", answer.headers["content-security-policy"])
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("environment", "served"), [("development", True), ("staging", False), ("production", False)])
def test_outside_development_neither_page_exists(environment: str, served: bool) -> None:
    settings = Settings(environment=environment, secret_key="a-secret-of-more-than-thirty-two-letters")  # type: ignore[arg-type]
    routes = create_app(settings, Metrics()).routes
    for path in ("/", "/docs", "/docs/style.css"):
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes) is served
