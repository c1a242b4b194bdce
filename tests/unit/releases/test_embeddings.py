"""Aliases of embeddings in a release: one vector space each, for ever (G1b, B3)."""

import hashlib
from pathlib import Path

import pytest
from conftest import ROOT

from app.domain.embeddings import VectorSpace
from app.domain.errors import Misconfigured
from app.releases.manifest import Places, Release, resolve
from app.releases.spaces import changed_spaces

PRICES = """version = "p"
effective = 2026-11-01
unit = "micro-USD per million tokens"
sources = ["s"]
""" + "".join(
    f"""
[[price]]
provider = "{provider}"
model = "{model}"
input = 1
output = 1
cached_input = 1
cache_write = 1
"""
    for provider in ("openai", "azure", "anthropic")
    for model in ("chat", "e-small", "e-large", "our-small")
)
HEAD = """id = "r"
created = 2026-11-01
note = "n"
code = "0.1.0"
prices = {{ file = "prices/p.toml", sha256 = "{sha256}" }}

[routes.smart]
targets = [{{ provider = "openai", model = "chat" }}]
max_output_tokens = 10
"""
SMALL = '{ provider = "openai", model = "e-small" }'


def alias(*targets: str, name: str = "embed", space: str = "e-small", dimensions: int = 3, more: str = "") -> str:
    listed = ", ".join(targets)
    return f'\n[embeddings.{name}]\nspace = "{space}"\ndimensions = {dimensions}\ntargets = [{listed}]\n{more}\n'


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "p.toml").write_text(PRICES)
    return Places(
        directory=tmp_path, prompts=tmp_path, indexes=tmp_path,
        providers=frozenset({"openai", "azure", "anthropic"}), without_embeddings=frozenset({"anthropic"}),
    )  # fmt: skip


def resolved(places: Places, *aliases: str) -> Release:
    text = HEAD.format(sha256=hashlib.sha256(PRICES.encode()).hexdigest()) + "".join(aliases)
    return resolve(text, places, where="r")


def test_an_alias_of_embeddings_is_pinned_with_its_space(places: Places) -> None:
    release = resolved(places, alias(SMALL, more='shortens = true\ntokenizer = "t"'))
    assert release.pin("embed").route.space == VectorSpace("e-small", 3, shortens=True, tokenizer="t")
    assert release.pin("smart").route.space is None
    assert release.callable == ("smart", "embed")


def test_an_alias_of_embeddings_answers_to_its_further_names(places: Places) -> None:
    """Clients know the model by its vendor's name, and many have no other setting."""
    release = resolved(places, alias(SMALL, more='also = ["text-embedding-3-small", "e-small"]'))
    assert release.pin("text-embedding-3-small").route == release.pin("embed").route
    assert "e-small" in release.callable
    for taken in ('["smart"]', '["embed"]', '["x", "x"]'):
        with pytest.raises(Misconfigured, match="names two aliases"):
            resolved(places, alias(SMALL, more=f"also = {taken}"))


def test_a_release_without_the_section_stays_valid(places: Places) -> None:
    assert resolved(places).callable == ("smart",)


def test_one_model_at_two_providers_may_stand_in_for_itself(places: Places) -> None:
    route = resolved(places, alias(SMALL, '{ provider = "azure", model = "e-small" }')).pin("embed").route
    assert [target.provider for target in route.targets] == ["openai", "azure"]


def test_another_name_of_the_same_model_is_declared(places: Places) -> None:
    azure = '{ provider = "azure", model = "our-small", space = "e-small" }'
    assert len(resolved(places, alias(SMALL, azure)).pin("embed").route.targets) == 2


REFUSED = {
    "a fallback to another model": (alias(SMALL, '{ provider = "openai", model = "e-large" }'), "vectors of 'e-large'"),
    "a name that is not declared": (alias(SMALL, '{ provider = "azure", model = "our-small" }'), "space = 'e-small'"),
    "a space that no target has": (alias(SMALL, space="e-large"), "an index of both is worthless"),
    "a vendor without embeddings": (alias('{ provider = "anthropic", model = "e-small" }'), "no embeddings"),
    "the name of a route": (alias(SMALL, name="smart"), "'smart' names two aliases"),
    "no target": (alias(), "targets"),
    "no dimensions": (alias(SMALL, dimensions=0), "dimensions"),
    "no price": (alias('{ provider = "azure", model = "e-huge", space = "e-small" }'), "no price"),
    "an unknown provider": (alias('{ provider = "mars", model = "e-small" }'), "provider not configured"),
    "an unknown key": (alias(SMALL, more="temperature = 1"), "temperature"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_an_alias_that_could_mix_vectors_or_cannot_work_is_refused(places: Places, text: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        resolved(places, text)


def test_a_prompt_cannot_be_routed_to_embeddings(places: Places) -> None:
    prompt = '\n[prompts."shop/x"]\nversion = "v1"\nsha256 = "' + "0" * 64 + '"\nroute = "embed"\n'
    with pytest.raises(Misconfigured, match="no such route"):
        resolved(places, prompt, alias(SMALL))


def test_an_alias_keeps_its_space_over_all_releases() -> None:
    small, large = alias(SMALL), alias(SMALL, space="e-large")
    named, later = alias(SMALL, more='also = ["x"]'), alias(SMALL, name="embed-2", space="e-large", more='also = ["x"]')
    assert changed_spaces(named, [small]) == []
    assert len(changed_spaces(later, [named])) == 1
    longer, other = alias(SMALL, dimensions=6), alias(SMALL, name="embed-2", space="e-large")
    assert changed_spaces(small, [small, "", other]) == []
    assert changed_spaces(small + other, [small]) == []
    assert len(changed_spaces(large, [small, small])) == 1
    assert "vectors of 'e-small' with 3 dimensions" in changed_spaces(longer, ["", small])[0]


def test_no_shipped_release_gives_an_alias_other_vectors_than_another() -> None:
    texts = [path.read_text() for path in sorted((ROOT / "releases").glob("*.toml"))]
    assert [problem for text in texts for problem in changed_spaces(text, texts)] == []
