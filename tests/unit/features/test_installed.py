"""The service does its work for the listed products, and for no other."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from conftest import ROOT
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from app import cli
from app.cli.seed import _seed
from app.domain.errors import Misconfigured
from app.edge.identity import Needs
from app.edge.openapi import ApiDocument
from app.features.feature import BuiltIndex, Feature, Index
from app.features.installed import PRODUCTS, installed, link_hosts
from app.settings import Settings, load
from app.stack import traffic
from app.stack.setup import _build_indexes, first_releases

MANIFEST = """
id = "{id}"
created = 2026-11-01
note = ""
code = "0"
prices = {{ file = "p.toml", sha256 = "{zeros}" }}
routes.smart = {{ targets = [{{ provider = "openai", model = "m" }}], max_output_tokens = 1 }}
"""
ZEROS = "0" * 64
PROMPT = f'[prompts."{{}}/one"]\nversion = "v1"\nsha256 = "{ZEROS}"\nroute = "smart"\n'


def a_product(name: str = "lamps", **more: object) -> Feature:
    return Feature(name=name, router=lambda _: APIRouter(), **more)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four releases: of routes alone, twice of one product, and of two products."""
    pins = {
        "1": "",
        "2": PROMPT.format("lamps"),
        "3": PROMPT.format("lamps"),
        "4": PROMPT.format("lamps") + PROMPT.format("tents"),
    }
    for name, prompts in pins.items():
        (tmp_path / f"{name}.toml").write_text(MANIFEST.format(id=name, zeros=ZEROS) + prompts)
    return load(releases_dir=tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes the list hold other products."""

    def these(*features: Feature) -> None:
        names = tuple(f"made_up.{number}" for number in range(len(features)))
        for name, feature in zip(names, features, strict=True):
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(FEATURE=feature))
        monkeypatch.setattr("app.features.installed.PRODUCTS", names)
        installed.cache_clear()

    yield these
    monkeypatch.undo()
    installed.cache_clear()


def test_a_products_name_is_its_folders() -> None:
    """The name is also the folder of its prompts and migrations."""
    assert [f"app.features.{feature.name}" for feature in installed()] == list(PRODUCTS)
    folders = {path.parent.name for path in (ROOT / "app/features").glob("*/__init__.py")}
    assert {feature.name for feature in installed()} == folders


@pytest.mark.parametrize(
    ("products", "live"), [((), ["1"]), (("lamps",), ["2", "3"]), (("tents",), ["1"]), (("lamps", "tents"), ["3", "4"])]
)
def test_a_first_start_makes_the_two_newest_releases_of_installed_products_live(
    settings: Settings, install: Callable[..., None], products: tuple[str, ...], live: list[str]
) -> None:
    install(*(a_product(name) for name in products))
    assert first_releases(settings) == live


def test_a_release_that_pins_an_index_waits_for_its_product(settings: Settings, install: Callable[..., None]) -> None:
    path = settings.releases_dir / "1.toml"
    path.write_text(path.read_text() + '[indexes]\nlamp-kb = "lamp-kb-1"\n')
    for other in ("2", "3", "4"):
        (settings.releases_dir / f"{other}.toml").unlink()
    install(a_product(indexes=(an_index("lamp-kb", "lamp-kb-1", []),)))
    assert first_releases(settings) == ["1"]
    install()
    with pytest.raises(Misconfigured, match="a product that is not installed"):
        first_releases(settings)


def test_a_first_start_builds_the_released_index_although_its_content_has_changed(
    settings: Settings, install: Callable[..., None]
) -> None:
    """One edited article must not break every fresh start."""
    for name in ("1", "2", "3", "4"):
        path = settings.releases_dir / f"{name}.toml"
        path.write_text(path.read_text() + '[indexes]\nlamp-kb = "lamp-kb-1"\n')
    (settings.releases_dir / "indexes").mkdir()
    (settings.releases_dir / "indexes" / "lamp-kb-1.json").write_text("what was released")
    built: list[str | None] = []
    install(a_product(indexes=(an_index("lamp-kb", "lamp-kb-2", built),)))
    _build_indexes(settings, lambda _: None)
    assert built == [None, "what was released"]


def an_index(name: str, version: str, built: list[str | None]) -> Index:
    """An index whose content now has this version; ``built`` gets the sources of each build."""

    def build(_: Path, sources: str | None = None, /) -> BuiltIndex:
        built.append(sources)
        return BuiltIndex(version, Path(), "", fresh=True)

    return Index(name, lambda: version, build, lambda: "", lambda _: version)


def test_the_repository_has_a_release_for_its_products_and_one_for_none(install: Callable[..., None]) -> None:
    assert first_releases(load(releases_dir=ROOT / "releases"))
    install()
    assert first_releases(load(releases_dir=ROOT / "releases")) == ["0-start"]


@pytest.mark.parametrize("command", [("seed",), ("index", "build"), ("drill", "injection", "--vector", "direct")])
def test_without_a_product_a_command_says_that_there_is_nothing_to_do(
    command: tuple[str, ...], install: Callable[..., None]
) -> None:
    install()
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0
    assert "Nothing to do: no installed product has" in result.output


def test_every_products_sample_data_is_put_in(
    monkeypatch: pytest.MonkeyPatch, install: Callable[..., None], engine: AsyncEngine
) -> None:
    async def lamps(_: AsyncEngine, tenant: str) -> str:
        return f"2 lamps of {tenant}"

    install(a_product(seed=lamps), a_product("tents"), a_product("more-lamps", seed=lamps))
    monkeypatch.setenv("OCTANT_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("OCTANT_VALKEY_URL", "redis://127.0.0.1:1/0")  # else the command looks for a demo's
    assert asyncio.run(_seed()) == ["2 lamps of acme"] * 2


def test_a_products_commands_are_its_names() -> None:
    def commands() -> typer.Typer:
        own = typer.Typer()
        own.command("light")(lambda: typer.echo("It is lit."))
        own.command("dim")(lambda: typer.echo("It is dim."))
        return own

    app = typer.Typer()
    cli.add_products(app, (a_product(commands=commands), a_product("tents")))
    assert CliRunner().invoke(app, ["lamps", "light"]).output == "It is lit.\n"
    assert CliRunner().invoke(app, ["tents"]).exit_code != 0


def test_no_two_routers_serve_one_path() -> None:
    """The first would answer, and a product at `/v1/messages` never."""

    def router(method: str, path: str) -> APIRouter:
        routes = APIRouter(dependencies=[Depends(Needs(frozenset({"call"})))])
        routes.add_api_route(path, lambda: None, methods=[method])
        return routes

    document = ApiDocument(FastAPI())
    document.include(router("POST", "/v1/lamps"))
    document.include(router("GET", "/v1/lamps"))
    with pytest.raises(Misconfigured, match="Two routers serve POST /v1/lamps: give the product's route another path"):
        document.include(router("POST", "/v1/lamps"))


def test_link_hosts_and_the_demos_requests_come_from_the_products() -> None:
    own = {host for feature in installed() for host in feature.link_hosts}
    assert link_hosts() == own
    shown = {sample.path for sample in traffic.samples()}
    assert shown >= {"/v1/chat/completions", "/v1/messages"} | {s.path for feature in installed() for s in feature.samples}


def test_no_host_is_in_the_default_allowlist() -> None:
    """A fork must not inherit the host of an example."""
    assert Settings.model_fields["allowed_link_hosts"].default == frozenset()
