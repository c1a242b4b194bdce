"""A manifest resolves whole or is refused whole (B1, B3)."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

from app.domain.errors import Misconfigured, UnknownModel
from app.features.installed import installed
from app.releases.catalogue import _listed
from app.releases.code_version import is_older
from app.releases.manifest import Places, _PriceFile, load, resolve
from app.releases.pinning import pinned
from app.releases.texts import MOST_PARTS, parsed_as, table_of
from app.settings import load as load_settings
from app.stack.fitting import fitting
from app.stack.setup import first_releases

PRICES = """
version = "p1"
effective = 2026-11-01
unit = "micro-USD per million tokens"
sources = ["made up"]

[[price]]
provider = "openai"
model = "m-large"
from_input_tokens = 1000
image_tokens = 5_000
input = 4
output = 8
cached_input = 1
cache_write = 5

[[price]]
provider = "openai"
model = "m-large"
input = 2
output = 4
cached_input = 1
cache_write = 3
"""
PROMPT = """
description = "d"
tools = ["get_order"]
system = "Be kind."
user = "$question"
"""
MANIFEST = """
# a comment that stays
id = "r1"
created = 2026-11-01
note = "n"
code = "0.1.0"

[prices]
file = "prices/p1.toml"
sha256 = "{prices}"

[indexes]
kb = "kb-000000000001"

[prompts."shop/answer"]
version = "v1"
sha256 = "{prompt}"
route = "smart"

[routes.smart]
targets = [{{ provider = "openai", model = "m-large" }}]
max_output_tokens = 100
temperature = 0.5
"""


@dataclass(frozen=True)
class Written:
    """A release that resolves, on disk."""

    places: Places
    text: str

    def refusal(self, text: str | None = None) -> str:
        with pytest.raises(Misconfigured) as refused:
            resolve(text or self.text, self.places, where="releases/r1.toml")
        return str(refused.value)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    places = Places(
        directory=tmp_path / "releases",
        prompts=tmp_path / "features",
        indexes=tmp_path / "indexes",
        providers=frozenset({"openai"}),
    )
    text = MANIFEST.format(
        prices=put(places.directory / "prices" / "p1.toml", PRICES), prompt=put(places.prompt_path("shop/answer", "v1"), PROMPT)
    )
    put(places.manifest_path("r1"), text)
    put(places.index_path("kb-000000000001"), "an index")
    return Written(places, text)


def put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_release_gives_routes_prompts_prices_and_indexes_as_pinned(written: Written) -> None:
    release = load("r1", written.places)
    route = release.routes["smart"]
    assert (route.targets[0].provider, route.targets[0].model) == ("openai", "m-large")
    assert (route.max_output_tokens, route.sampling.temperature) == (100, 0.5)
    assert [tier.from_input_tokens for tier in release.prices.prices["openai", "m-large"]] == [0, 1000]
    assert [tier.image_tokens for tier in release.prices.prices["openai", "m-large"]] == [None, 5_000]
    assert release.indexes == {"kb": "kb-000000000001"}
    assert release.sha256 == hashlib.sha256(written.text.encode()).hexdigest()


def test_a_prompt_is_pinned_with_its_route_and_an_alias_without_a_prompt(written: Written) -> None:
    release = load("r1", written.places)
    by_prompt, by_alias = release.pin("shop/answer"), release.pin("smart")
    assert by_prompt.prompt is not None
    assert (by_prompt.prompt.version, by_prompt.prompt.tools, by_prompt.route) == ("v1", ("get_order",), by_alias.route)
    assert by_alias.prompt is None
    with pytest.raises(UnknownModel, match="Known: smart"):
        release.pin("gpt-1")


def test_a_route_answers_to_its_further_names_and_two_routes_never_to_one(written: Written) -> None:
    """G3."""
    named = written.text.replace("max_output_tokens = 100", 'max_output_tokens = 100\nalso = ["claude-x", "gpt-x"]')
    release = resolve(named, written.places, where="r1")
    assert release.aliases == ("smart", "claude-x", "gpt-x")
    assert release.pin("claude-x").route == release.pin("smart").route
    with pytest.raises(UnknownModel, match="claude-x, gpt-x"):
        release.pin("claude-y")
    for taken in ('["smart"]', '["gpt-x", "gpt-x"]'):
        assert "names two aliases" in written.refusal(named.replace('["claude-x", "gpt-x"]', taken))


def test_the_example_for_coding_agents_resolves_and_is_never_a_first_start(tmp_path: Path) -> None:
    providers = frozenset({"openai", "anthropic"})
    places = Places(directory=ROOT / "releases", prompts=tmp_path, indexes=tmp_path, providers=providers)
    example = load("examples/coding-agents", places)
    for route in example.routes.values():
        assert route.max_output_tokens >= 32_000
        assert route.stream_timeout > route.attempt_timeout > 60
        assert {target.provider for target in route.targets} == places.providers
    assert "claude-opus-4-8" in example.aliases
    assert example.id not in first_releases(load_settings(releases_dir=ROOT / "releases"))


def test_all_faults_are_reported_together_each_with_its_key_and_remedy(written: Written) -> None:
    put(written.places.prompt_path("shop/answer", "v1"), PROMPT + "\n")
    written.places.index_path("kb-000000000001").unlink()
    text = written.text.replace('"openai"', '"groq"').replace('route = "smart"', 'route = "cheap"')
    message = written.refusal(text)
    assert message.startswith("releases/r1.toml cannot be live:")
    assert 'prompts."shop/answer".sha256 = ' in message
    assert "octant release pin" in message
    assert "indexes.kb = 'kb-000000000001': not built. Run `octant index build`" in message
    assert "provider not configured. Set OCTANT_PROVIDERS__GROQ__BASE_URL" in message
    assert "no price in prices/p1.toml" in message
    assert "prompts.\"shop/answer\".route = 'cheap': no such route" in message
    assert len(message.splitlines()) == 6


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sakura-ai", "No shell exports OCTANT_PROVIDERS__SAKURA-AI__BASE_URL: name it in letters, digits and '_'."),
        ("Sakura", "Settings know names in small letters alone: write 'sakura' here and in the price table."),
        ("sakura_ai", "Set OCTANT_PROVIDERS__SAKURA_AI__BASE_URL."),
    ],
)
def test_a_provider_whose_setting_could_not_be_set_is_to_be_named_anew(written: Written, name: str, advice: str) -> None:
    assert f"provider not configured. {advice}" in written.refusal(written.text.replace('"openai"', f'"{name}"'))


def test_a_price_that_is_out_of_form_is_named_and_its_list_is_not_said_to_be_empty() -> None:
    text = 'version = "1"\neffective = 2027-01-01\nunit = "u"\nsources = ["s"]\n'
    text += '[[price]]\nprovider = "p"\nmodel = "m"\ninput = 1\noutput = 1\n'
    with pytest.raises(Misconfigured) as refused:
        parsed_as(_PriceFile, text, "p.toml")
    assert str(refused.value).splitlines() == [
        "p.toml is not usable:", "  price.0.cached_input: Field required", "  price.0.cache_write: Field required"
    ]  # fmt: skip
    with pytest.raises(Misconfigured, match="price: Tuple should have at least 1 item"):
        parsed_as(_PriceFile, text.partition("[[")[0] + "price = []", "p.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("note =", "notes ="), "notes: Extra inputs are not permitted"),
        (lambda t: t.replace("max_output_tokens = 100", "max_output_tokens = 0"), "routes.smart.max_output_tokens"),
        (lambda t: t.replace("[routes.smart]", '[routes."shop/smart"]'), "routes.shop/smart"),
        (lambda t: t.replace("[prices]", "[prices"), "is not TOML"),
        (lambda t: t.replace("prices/p1.toml", "prices/p2.toml"), "does not exist"),
    ],
    ids=["unknown key", "value out of range", "alias that looks like a prompt", "no TOML", "missing file"],
)
def test_a_manifest_that_cannot_be_read_is_refused_by_key(written: Written, change: Callable[[str], str], message: str) -> None:
    assert message in written.refusal(change(written.text))


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 20_000, "x = " + "1" * 5_000, "\ufeffid = 1", b"note = '\xff'"],
    ids=["deep", "long number", "byte order mark", "not UTF-8"],
)
def test_a_file_that_no_parser_reads_is_one_line_of_the_list_and_a_refusal(written: Written, text: str | bytes) -> None:
    bad = written.places.manifest_path("bad")
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Misconfigured, match=r"not TOML|not readable"):
        load("bad", written.places)
    assert "not" in _listed("bad", bad, None).problem
    assert not _listed("r1", written.places.manifest_path("r1"), None).problem


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//x", "a/.x", "x/", "a\\u0000b", ""])
def test_no_name_in_a_manifest_leads_out_of_its_folder(written: Written, name: str) -> None:
    for known in ("prices/p1.toml", "kb-000000000001", "v1", "r1", "shop/answer"):
        message = written.refusal(written.text.replace(f'"{known}"', f'"{name}"'))
        assert "should match pattern" in message


@pytest.mark.parametrize("release_id", ["prices/../r1", "../releases/r1", "a" * 5_000, "a\0b", ""])
def test_a_release_is_found_by_its_name_and_by_no_path_to_it(written: Written, release_id: str) -> None:
    with pytest.raises(Misconfigured, match="No release"):
        load(release_id, written.places)


def test_a_prompt_that_is_no_template_is_refused_before_a_call_finds_out(written: Written) -> None:
    digest = put(written.places.prompt_path("shop/answer", "v1"), PROMPT.replace("Be kind.", "It costs $5."))
    old = hashlib.sha256(PROMPT.encode()).hexdigest()
    assert "Write $$ for a dollar sign" in written.refusal(written.text.replace(old, digest))


def test_a_model_without_a_first_price_tier_is_refused(written: Written) -> None:
    digest = put(written.places.directory / "prices" / "p1.toml", PRICES.replace("from_input_tokens = 1000", ""))
    old = hashlib.sha256(PRICES.encode()).hexdigest()
    assert "exactly one price that starts at zero" in written.refusal(written.text.replace(old, digest))


def test_a_release_is_found_by_the_id_it_says_it_has(written: Written) -> None:
    put(written.places.manifest_path("r2"), written.text)
    with pytest.raises(Misconfigured, match="Make the two agree"):
        load("r2", written.places)
    with pytest.raises(Misconfigured, match=r"Known: r1, r2\."):
        load("r3", written.places)


def test_a_release_made_for_newer_code_is_not_made_live_and_one_of_older_code_is(written: Written) -> None:
    path = written.places.manifest_path("r1")
    path.write_text(path.read_text().replace('code = "0.1.0"', 'code = "999.0"') + "unheard_of = 1\n")
    with pytest.raises(Misconfigured, match=r"made for code 999\.0, and .* runs here\. Deploy that code first"):
        load("r1", written.places)
    path.write_text(written.text.replace('code = "0.1.0"', 'code = "999.0"'))
    assert resolve(path.read_text(), written.places, where="the kept text").code == "999.0", "a rollback never fails by it"
    path.write_text(written.text.replace('code = "0.1.0"', 'code = "0.0.9"'))
    assert load("r1", written.places).code == "0.0.9"


@pytest.mark.parametrize(
    ("running", "wanted", "older"),
    [
        ("0.9.0", "0.10.0", True), ("0.10.0", "0.9.0", False), ("1.0", "1.0.0", False), ("1.0", "1.0.1", True),
        ("v1.2", "1.3", True), ("1.2.0-rc1", "1.2.0", False), ("1.2.0", "3f2a9c1", False), ("main", "1.2.0", False),
        ("1.2.0", "main", False),
    ],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(running: str, wanted: str, older: bool) -> None:
    assert is_older(running, wanted) is older


def test_a_draft_gets_its_pins_and_keeps_everything_else(written: Written) -> None:
    draft = MANIFEST.format(prices="", prompt="to be filled in").replace("kb-000000000001", "kb-?")
    assert pinned(draft, written.places, {"kb": "kb-000000000001"}, where="draft") == written.text


def test_a_draft_that_pins_a_missing_prompt_is_refused(written: Written) -> None:
    with pytest.raises(Misconfigured, match=r"v9\.toml, which does not exist"):
        pinned(written.text.replace('"v1"', '"v9"'), written.places, {}, where="draft")


@pytest.mark.parametrize("release_id", fitting(ROOT / "releases"))
def test_every_release_of_installed_products_resolves(release_id: str, tmp_path: Path) -> None:
    for index in (index for feature in installed() for index in feature.indexes):
        index.build(tmp_path)
    places = Places(
        directory=ROOT / "releases",
        prompts=ROOT / "app" / "features",
        indexes=tmp_path,
        providers=frozenset({"openai", "anthropic"}),
    )
    release = load(release_id, places)
    assert {"smart", "fast"} <= set(release.routes)
    providers = {target.provider for target in release.routes["smart"].targets}
    assert len(providers) >= 2, "a route with one provider has nothing to fall back to"


@pytest.mark.parametrize("part", ["a", '"a"', "'b c'"])
@pytest.mark.parametrize("dot", [".", " . ", "\t."])
def test_a_key_of_very_many_parts_is_refused_before_it_is_parsed(part: str, dot: str) -> None:
    """V3: Python's parser took 0.6 s for 10,000 of them, and a minute for all that a form may hold."""
    assert table_of(dot.join([part] * MOST_PARTS) + " = 1", "m.toml")
    with pytest.raises(Misconfigured, match=f"a key has over {MOST_PARTS} parts"):
        table_of(dot.join([part] * (MOST_PARTS + 1)) + " = 1", "m.toml")
