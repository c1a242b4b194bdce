"""The chaos matrix on the running service, and its document (R9, E7)."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import ROOT, Simulator, own_database, running_service
from document import PATH, render
from matrix import CELLS, MATRIX, WITHOUT_VALKEY, Cell
from silent import never_accepting
from staging import Played, environment, faults, play_all, set_up

from app.stack.embedded import embedded_valkey

pytestmark = pytest.mark.timeout(900)  # the first test plays every cell twice

Results = Mapping[Cell, Played]


@pytest.fixture(scope="module")
def played(
    simulator_process: Simulator, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Results, Results]]:
    """All cells, with Valkey there and with Valkey away."""
    folder = tmp_path_factory.mktemp("chaos")
    with own_database(database_url, "chaos") as url, embedded_valkey(None) as valkey_url, never_accepting() as black_hole:
        env = environment(simulator_process, url, valkey_url, folder, black_hole=black_hole)
        key = set_up(env, folder)
        simulator_process.put_faults(*faults())
        try:
            with running_service(env, folder / "up.log") as service:
                up = asyncio.run(play_all(service, key, url))
            with ExitStack() as stack:
                with embedded_valkey(None) as short_lived:
                    starting = running_service({**env, "OCTANT_VALKEY_URL": short_lived}, folder / "down.log")
                    service = stack.enter_context(starting)
                down = asyncio.run(play_all(service, key, url))
        finally:
            simulator_process.clear()
        yield up, down


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_what_a_provider_does_wrong_has_one_stated_outcome(played: tuple[Results, Results], cell: Cell) -> None:
    name, mode, where = cell
    stated, result = MATRIX[name].outcomes[mode, where], played[0][cell]
    assert (result.status, result.sees, result.attempts) == (stated.status, stated.sees, stated.attempts)
    assert result.cost == result.paid
    assert result.attempts_reported == len(result.attempts)


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_with_valkey_away_nothing_is_sent_and_nothing_is_paid(played: tuple[Results, Results], cell: Cell) -> None:
    result = played[1][cell]
    assert (result.status, result.sees, result.attempts) == (WITHOUT_VALKEY.status, WITHOUT_VALKEY.sees, WITHOUT_VALKEY.attempts)
    assert result.cost == result.attempts_reported == 0


def test_the_document_says_what_the_table_says() -> None:
    """Write it anew with `python tests/chaos/document.py`."""
    assert Path(ROOT / PATH).read_text() == render()
