"""The figures of docs/performance.md are those of the kept raw results."""

import json

from conftest import ROOT

from benchmarks.speed import page


def test_the_page_and_its_plot_are_made_from_the_kept_results() -> None:
    results, prices = (json.loads((ROOT / file).read_text()) for file in (page.KEPT, page.PRICES))
    written = (ROOT / page.PAGE).read_text()
    assert page.page(results, prices, written) == written
    assert page.plot(results) == (ROOT / page.PLOT).read_text()
