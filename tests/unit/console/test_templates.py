"""Every template of the console can be read: a page that no other test opens fails here, and in a second."""

import re
from datetime import UTC, datetime

import pytest

from app.console.console import TEMPLATES, templates
from app.console.known import Known

NAMES = sorted(templates().list_templates(extensions=["html"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_well_formed(name: str) -> None:
    assert templates().get_template(name).name == name


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("since 2026-11-27, <b>", 'since <span class="nowrap">2026-11-27</span>, &lt;b&gt;'),
        ("at 2026-11-27 14:00 UTC.", 'at <span class="nowrap">2026-11-27 14:00 UTC</span>.'),
        ("octant rollback --to r-1", 'octant rollback <span class="nowrap">--to</span> r-1'),
        ("a--b and <--c>", "a--b and &lt;--c&gt;"),
        ("10.5 % of 3 s, 2 sides, 4 min", "10.5\u00a0% of 3\u00a0s, 2 sides, 4\u00a0min"),
        ("49.2 /min, 3 /h", "49.2\u00a0/min, 3\u00a0/h"),
    ],
)
def test_a_date_an_option_and_a_measure_stay_in_one_line(text: str, written: str) -> None:
    assert templates().from_string("{{ text|unbroken }}").render(text=text) == written


def test_a_requests_id_leads_to_its_trace() -> None:
    """It stood in the first page's red sentence as text, to be copied on a phone."""
    one = f"req_{'0a' * 16}"
    macro = "{% import 'parts/macros.html' as m %}{{ m.sentence(text, {}, false) }}"
    page = templates().from_string(macro).render(text=f"<b> the last is {one}; not <req_x>.")
    link = f'<a href="/console/search?q={one}"><code>{one}</code></a>'
    assert page == f"<p>&lt;b&gt; the last is {link}; not &lt;req_x&gt;.</p>"


def test_a_figure_stays_with_its_unit() -> None:
    page = templates().from_string("{{ 69|ms }}, {{ 0.105|share }}, {{ 3|seconds }}")
    assert page.render() == "69\u00a0ms, 10.5\u00a0%, 3.00\u00a0s"


def test_the_name_of_an_alert_breaks_between_its_words() -> None:
    write = templates().from_string("{{ text|path }}").render
    assert write(text="OctantAvailabilityBurnsFast") == "Octant<wbr>Availability<wbr>Burns<wbr>Fast"
    assert write(text="app/audit/erasures.py:HTTP_MOST") == "app/<wbr>audit/<wbr>erasures.py:<wbr>HTTP_<wbr>MOST"


def test_a_command_breaks_within_no_option_and_no_name() -> None:
    write = templates().from_string("{{ text|command }} {{ said|words }}").render
    whole = '<span class="nowrap">{}</span>'
    options, name = whole.format("ARGS=&#34;--scale"), whole.format("key-leak")
    shown = write(text='make outage ARGS="--scale 1"', said="see `octant drill gameday key-leak`")
    assert shown == f"make outage {options} 1&#34; see <code>octant drill gameday {name}</code>"
    long = "a-name-of-more-than-thirty-two-characters"
    assert write(text=long, said="") == f"{long} ", "it would be wider than a phone"


@pytest.mark.parametrize("name", NAMES)
def test_each_command_is_written_as_one(name: str) -> None:
    written = (TEMPLATES / name).read_text(encoding="utf-8")
    assert re.findall(r"<code>\{\{ (?=[^}|]*(?:command|undo))[^}|]*\}\}", written) == []


def test_a_criterion_does_not_repeat_the_words_before_it() -> None:
    write = templates().from_string("{{ text|unprefixed('Passes if ') }}")
    assert write.render(text="Passes if it refuses.") == "it refuses."
    assert write.render(text="It refuses.") == "It refuses."


@pytest.mark.parametrize("name", NAMES)
def test_a_releases_id_is_shown_as_code(name: str) -> None:
    """It looks like a date, and stands beside times."""
    written = (TEMPLATES / name).read_text(encoding="utf-8")
    assert re.findall(r"<(?!code\b)\w+[^<>]*>\{\{ (?:\w+\.)*(?:release|release_id) \}\}<", written) == []


def test_all_pages_are_among_them() -> None:
    assert {"overview.html", "evals.html", "parts/macros.html"} <= set(NAMES)


def test_without_postgres_the_live_part_of_releases_keeps_the_place_of_its_figures() -> None:
    """What is below it does not jump when Postgres answers again."""
    away: Known[object] = Known(None, datetime.now(UTC), "Postgres does not answer")
    nothing: dict[str, object] = {
        "known": away, "stops": away, "state": None, "session": None, "kind": "warn", "words": "", "tabs": {}, "tab": "rollback",
        "changed": False,
    }  # fmt: skip
    shown = templates().get_template("parts/releases.html").render(**nothing)
    labels = re.findall(r"<dt>(.+?)</dt>", shown)
    assert labels == re.findall(r'm\.figure\("(.+?)"', (TEMPLATES / "parts/releases.html").read_text())
    assert len(labels) == 6
