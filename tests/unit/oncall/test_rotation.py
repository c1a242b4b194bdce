"""The file of the rotation: every fault is refused with its line and field (P1)."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from rotas import DATA, NOW, rotation, text

from app.domain.errors import Misconfigured
from app.domain.reserved import is_reserved_phone
from app.oncall.rota.problems import notes, problems
from app.oncall.rota.reading import load_rotation, read_rotation

FILE = ROOT / "runbook" / "oncall" / "rotation.yaml"
ANN = DATA["people"]["ann"]
COVER = {"by": "bob", "begin": "2026-11-10T18:00Z", "end": "2026-11-10T19:00Z"}


def refused(given: str) -> str:
    with pytest.raises(Misconfigured) as error:
        read_rotation(given, "rotation.yaml")
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"timezone": "Europe/Atlantis"}, "timezone", "is not a time zone"),
        ({"timezone": "../etc/passwd"}, "timezone", "is not a time zone"),
        ({"people": {"ann": {"name": "Ann", "mail": "a@octant.dev"}}}, "people.ann.phone", "Field required"),
        ({"people": {"ann": {**ANN, "phone": "call me"}}}, "people.ann.phone", "7 to 15 digits"),
        ({"people": {"ann": {**ANN, "phone": "0170 1234567"}}}, "people.ann.phone", "with its country"),
        ({"people": {"ann": {**ANN, "phone": "+49 170 123456789012"}}}, "people.ann.phone", "7 to 15 digits"),
        ({"people": {"ann": {**ANN, "mail": "ann"}}}, "people.ann.mail", "is written as"),
        ({"people": {"ann": {**ANN, "timezone": "CEST"}}}, "people.ann.timezone", "is not a time zone"),
        ({"serving": {"days": []}}, "serving.0.days", "at least 1 item"),
        ({"serving": {"hours": "all"}}, "serving.0.hours", "Extra inputs"),
        ({"layers": {"agency": []}}, "layers.agency", "at least one list"),
        ({"layers": {"agency": [{"from": "2026-11-02", "people": ["eve"]}]}}, "layers.agency.0.people.0", "eve is no person"),
        ({"layers": {"agency": [{"from": "2026-11-02", "people": []}]}}, "layers.agency.0.people", "at least 1 item"),
        ({"layers": {"agency": [{"people": ["ann"]}]}}, "layers.agency.0.from", "Field required"),
        ({"layers": {"agency": [{"from": "2026-02-30", "people": ["ann"]}]}}, "layers.agency.0.from", "valid date"),
        ({"layers": {"agency": [{"from": "2026-11-02", "people": ["ann"], "weekday": "Mo"}]}}, "layers.agency.0.weekday", "mon"),
        (
            {"layers": {"agency": [{"from": "2026-11-02", "people": ["ann"], "every": "day", "weekday": "mon"}]}},
            "layers.agency.0",
            "goes with `every: week`",
        ),
        ({"layers": {"agency": [{"from": "2026-11-30", "people": ["ann"], "monthday": 3}]}}, "layers.agency.0", "every: month"),
        (
            {"layers": {"agency": [{"from": "2026-10-31", "people": ["ann"], "every": "month"}]}},
            "layers.agency.0",
            "not every month has this day",
        ),
        (
            {"layers": {"agency": [{"from": "2026-11-02", "people": ["ann"], "at": ["08:00", "20:00"]}]}},
            "layers.agency.0",
            "every: day",
        ),
        (
            {"layers": {"agency": [{"from": "2026-11-02", "people": ["ann"], "every": "day", "at": ["20:00", "08:00"]}]}},
            "layers.agency.0",
            "in order",
        ),
        (
            {"layers": {"agency": [{"from": "2026-11-09", "people": ["ann"]}, {"from": "2026-11-02", "people": ["bob"]}]}},
            "layers.agency.1.from",
            "in order",
        ),
        ({"plan": []}, "plan", "at least 1 item"),
        (
            {"plan": [{"from": "2026-11-02", "levels": [{"layers": ["nights"]}]}]},
            "plan.0.levels.0.layers.0",
            "nights is no layer",
        ),
        ({"overrides": [{**COVER, "instead_of": "eve"}]}, "overrides.0.instead_of", "eve is no person"),
        ({"overrides": [{**COVER, "layer": "agency", "by": "eve"}]}, "overrides.0.by", "eve is no person"),
        ({"overrides": [COVER]}, "overrides.0", "either a layer or"),
        ({"overrides": [{**COVER, "layer": "agency", "begin": "2026-11-10T18:00"}]}, "overrides.0.begin", "timezone"),
        ({"overrides": [{**COVER, "layer": "agency", "end": COVER["begin"]}]}, "overrides.0", "ends after it begins"),
        ({"limits": {"share": 2}}, "limits.share", "less than or equal to 1"),
        ({"schedules": {}}, "schedules", "Extra inputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_could_mislead_is_refused_with_its_field_and_line(change: dict[str, Any], field: str, message: str) -> None:
    given = text(**change)
    said = refused(given)
    (line,) = [one for one in said.splitlines() if f": {field}: " in one and message in one]
    section = given.splitlines()[: int(line.strip().split(":")[1])]
    assert [one for one in section if not one.startswith((" ", "-"))][-1].startswith(field.split(".", maxsplit=1)[0])


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    said = refused(text(timezone="Nowhere", people={"ann": {"name": "A", "phone": "1", "mail": "x"}}))
    assert said.count("rotation.yaml:") == 4


def test_the_line_is_that_of_the_field() -> None:
    given = "timezone: Europe/Berlin\nchange_at: nine\npeople:\n  ann:\n    name: Ann\n    phone: none\n"
    said = refused(given)
    assert "rotation.yaml:2: change_at: " in said
    assert "rotation.yaml:6: people.ann.phone: " in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("people: [", "rotation.yaml:1: not YAML"),
        ("a: 1\nb: {\n", "rotation.yaml:3: not YAML"),
        ("", "rotation.yaml:1: file: "),
        ("- a\n- b\n", "rotation.yaml:1: file: "),
        ("people: &all {}\nlayers: *all\n", "rotation.yaml:2: not YAML: an alias"),
        ("people:\n  ann: {}\n  ann: {}\n", "rotation.yaml:3: people.ann: stands twice"),
        ("x: !!python/object:os.system {}\n", "rotation.yaml:1: not YAML"),
        ("a: \x00", "not YAML"),
        ("[" * 20_000, "not YAML"),
        ("a: 2026-13-45", "a: Extra"),
    ],
    ids=["open list", "open map", "empty", "a list", "alias", "twice", "an object", "a zero byte", "too deep", "no date"],
)
def test_text_that_is_no_map_is_refused_with_its_line(given: str, message: str) -> None:
    assert message in refused(given)


@pytest.mark.parametrize("nested", ["[" * 5000, "{a: " * 5000])
def test_a_file_that_is_nested_without_end_is_one_sentence(nested: str) -> None:
    with pytest.raises(Misconfigured, match="nested too deep"):
        read_rotation(f"x: {nested}", "rotation.yaml")


def test_words_that_yaml_would_change_keep_their_meaning() -> None:
    """YAML 1.1 reads 18:00 as 1080, an unquoted phone as a number, and `no` as false."""
    given = text(change_at="XX").replace("change_at: XX", "change_at: 18:00")
    given = given.replace("+49 170 0000010", "+491700000010").replace("ann", "no").replace("'no'", "no")
    read = read_rotation(given, "rotation.yaml")
    assert f"{read.change_at:%H:%M}" == "18:00"
    assert read.people["no"].phone == "+491700000010"


def test_the_forms_of_turns_in_the_documentation_are_read() -> None:
    page = (ROOT / "docs/oncall.md").read_text()
    forms = re.findall(r"^\| [^|]+ \| `((?:every|timezone): .+)` \|$", page, re.MULTILINE)
    assert len(forms) > 6
    for form in forms:
        layers = f"{{from: 2026-11-02, people: [ann, bob], {form.replace('`', '')}}}"
        given = re.sub(r"agency:\n(  +- .*\n|    .*\n)+", f"agency:\n  - {layers}\n", text())
        assert len(read_rotation(given, form).layers["agency"]) == 1
    (example,) = re.findall(r"```yaml\n(layers:\n.*?)```", page, re.DOTALL)
    assert len(read_rotation(text(layers=yaml.load(example, yaml.BaseLoader)["layers"] | DATA["layers"]), "x").layers) == 2  # noqa: S506


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="OCTANT_ROTATION_FILE"):
        load_rotation(tmp_path / "rotation.yaml")
    (tmp_path / "rotation.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="UTF-8"):
        load_rotation(tmp_path / "rotation.yaml")


def test_the_rotation_in_the_repository_holds_and_is_plainly_an_example() -> None:
    r = load_rotation(FILE)
    assert problems(r, datetime.now(UTC), production=False) == []
    assert notes(r, datetime.now(UTC)) == []
    assert len(problems(r, datetime.now(UTC), production=True)) == len(r.people)
    for person in r.people.values():
        assert person.placeholder
        assert person.mail.endswith("@example.com")
        assert is_reserved_phone(person.phone.replace(" ", ""))


@pytest.mark.parametrize(
    "change",
    [{"placeholder": True}, {"mail": "ann@pager.example.org"}, {"phone": "+1 (212) 555-0142"}, {"phone": "+44 7700 900123"}],
    ids=["marked", "mail", "phone", "british phone"],
)
def test_placeholders_are_refused_in_production_and_only_there(change: dict[str, Any]) -> None:
    """P6: also those whose mark was removed, but whose address or phone no person has."""
    r = rotation(people={**DATA["people"], "ann": {**ANN, **change}})
    assert problems(r, NOW, production=False) == []
    assert problems(r, NOW, production=True) == ["ann: a placeholder; put a real person in"]
