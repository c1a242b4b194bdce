"""Every template of the console can be read: a page that no other test opens fails here, and in a second."""

import pytest

from app.console.console import templates

NAMES = sorted(templates().list_templates(extensions=["html"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_well_formed(name: str) -> None:
    assert templates().get_template(name).name == name


def test_all_pages_are_among_them() -> None:
    assert {"overview.html", "evals.html", "parts/macros.html"} <= set(NAMES)
