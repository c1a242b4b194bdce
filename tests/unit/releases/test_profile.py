"""Staging exercises what production serves, and says where it does not (B7)."""

from pathlib import Path
from typing import Any

import pytest
from manifests import PRICES, write

from app.domain.errors import Misconfigured
from app.releases.profile import Profile, ProviderProfile, differences, read

REAL = ProviderProfile(kind="openai", host="api.vendor.example", simulated=False)
FAKE = ProviderProfile(kind="openai", host="simulator:8101", simulated=True)
PIN = '[prompts."shop/answer"]\nversion = "{}"\nsha256 = "{}"\nroute = "smart"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p1.toml").write_text(PRICES)
    return tmp_path


def a_profile(folder: Path, release: str = "a", extra: str = "", **changes: Any) -> Profile:  # noqa: ANN401 - fields of a profile
    write(folder, release, extra)
    values: dict[str, Any] = {
        "environment": "production",
        "version": "1.0.0",
        "manifest": (folder / f"{release}.toml").read_text(),
        "providers": {"openai": REAL},
    }
    return Profile(**(values | changes))


def test_the_same_pins_under_another_id_are_the_same(folder: Path) -> None:
    extra = '[indexes]\nkb = "kb-1"\n' + PIN.format("v1", "0" * 64)
    here = a_profile(folder, "b", extra, environment="staging")
    assert differences(here, a_profile(folder, "a", extra)) == []


def test_each_difference_is_listed(folder: Path) -> None:
    route = '[routes.fast]\ntargets = [{{ provider = "openai", model = "{}" }}]\nmax_output_tokens = {}\n'
    here = a_profile(
        folder, "b", '[indexes]\nkb = "kb-2"\n' + PIN.format("v2", "1" * 64) + route.format("m", 5),
        environment="staging", version="1.1.0", providers={"openai": FAKE},
    )  # fmt: skip
    there = a_profile(folder, "a", '[indexes]\nkb = "kb-1"\nfaq = "faq-1"\n' + PIN.format("v1", "0" * 64) + route.format("n", 6))
    assert differences(here, there) == [
        "model fast: targets, max_output_tokens differ from production.",
        "prompt shop/answer: version, sha256 differ from production.",
        "index faq: only in production.",
        "index kb: kb-2 here, kb-1 in production.",
        "code: 1.1.0 here, 1.0.0 in production.",
        "provider openai: the simulator answers here, so none of its models is exercised.",
    ]


def test_another_server_behind_a_provider_is_a_difference(folder: Path) -> None:
    other = REAL.model_copy(update={"host": "api.other.example"})
    assert differences(a_profile(folder, providers={"openai": other}), a_profile(folder)) == [
        "provider openai: openai at api.other.example here, openai at api.vendor.example in production."
    ]
    assert differences(a_profile(folder, providers={}), a_profile(folder)) == [
        "provider openai: not configured here, so none of its models is exercised."
    ]


def test_a_broken_profile_is_refused_with_every_problem(folder: Path) -> None:
    text = a_profile(folder).model_dump_json().replace('"production"', '"prod"').replace('"version"', '"v"')
    with pytest.raises(Misconfigured, match=r"environment(.|\n)*version(.|\n)*v:"):
        read(text, "p.json")
    with pytest.raises(Misconfigured, match=r"p\.json: manifest"):
        read(a_profile(folder).model_copy(update={"manifest": "id = 3"}).model_dump_json(), "p.json")
