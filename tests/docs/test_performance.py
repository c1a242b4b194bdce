"""The figures of docs/performance.md and docs/scaling.md are those of the kept raw results."""

import json

from conftest import ROOT

from benchmarks.speed import page, scale


def test_the_page_and_its_plot_are_made_from_the_kept_results() -> None:
    results, prices, peers = (json.loads((ROOT / file).read_text()) for file in (page.KEPT, page.PRICES, page.PEERS))
    written = (ROOT / page.PAGE).read_text()
    assert page.page(results, prices, peers, written) == written
    assert page.plot(results) == (ROOT / page.PLOT).read_text()


def test_the_page_on_scaling_is_made_from_a_kept_result_without_a_problem() -> None:
    results, written = json.loads((ROOT / page.SCALE).read_text()), (ROOT / page.SCALING).read_text()
    assert page.scaling(results, written) == written
    assert scale.problems(*scale.read(results)) == []
