"""docs/clients.md is made from the last run of `make clients`, and the run from today's table and drivers."""

import re

import pytest
from clients.capabilities import NAMES, WAYS
from clients.report import DOCUMENT, RESULTS, document, stored, unexpected
from clients.table import HERE, clients
from conftest import ROOT

RUN_AGAIN = "run `make clients`, or `make clients ARGS='--record --only NAME'`"


def test_the_document_is_made_from_the_stored_results() -> None:
    assert DOCUMENT.read_text() == document(stored(), clients()), RUN_AGAIN


def test_every_client_of_the_table_has_results_of_its_versions() -> None:
    assert {name: row["versions"] for name, row in stored().items()} == {n: list(c.versions) for n, c in clients().items()}, (
        RUN_AGAIN
    )


@pytest.mark.parametrize("name", clients())
def test_stored_results_are_as_the_table_says(name: str) -> None:
    """A capability works, or the table says why it does not."""
    assert unexpected(clients()[name], stored()[name]["ways"]) == []


@pytest.mark.parametrize("name", clients())
def test_stored_capabilities_are_those_of_the_driver(name: str) -> None:
    source = (HERE / "drivers" / clients()[name].driver).read_text()
    written = set(re.findall(r"capability\(\"([^\"]+)\"", source))
    ways = stored()[name]["ways"]
    assert {capability for way in ways.values() for capability in way} == written, RUN_AGAIN
    assert written <= NAMES
    assert set(ways) <= set(WAYS)


def test_a_reason_of_the_table_is_of_a_capability_that_was_tried() -> None:
    for name, client in clients().items():
        for key in client.fails:
            way, capability = key.split(": ")
            assert capability in stored()[name]["ways"][way]


def test_what_was_not_expected_is_found_in_both_directions() -> None:
    client = next(iter(clients().values()))
    assert unexpected(client, {"chat": {"text": False}}) == [f"{client.name}, chat: text fails"]
    assert unexpected(client, {"chat": {"text": True}}) == []


def test_results_hold_no_address_and_no_date() -> None:
    for path in (RESULTS, DOCUMENT):
        assert re.findall(r"127\.0\.0\.1|https?://|20\d\d-\d\d-\d\d|/(?:work|root|home|tmp)/", path.read_text()) == []


def test_drivers_import_nothing_of_the_project() -> None:
    """A client's environment has the client alone."""
    for path in (HERE / "drivers").glob("*.py"):
        assert re.findall(r"^(?:from|import) (?:app|tests|clients|benchmarks)\b", path.read_text(), re.MULTILINE) == [], path.name


def test_packages_of_clients_are_pinned_exactly() -> None:
    for client in clients().values():
        assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9.]+", package) for package in client.pip)
        assert all(re.fullmatch(r"@?[a-z0-9/-]+@[0-9.]+", package) for package in client.npm)
    assert ".clients/" in (ROOT / ".gitignore").read_text().split()
