"""The difference of two versions: shifts that change hands, and edits that deal everybody's turns anew."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Ran, run
from conftest import ROOT
from rotas import NOW, one_layer, rotation, text

from app.oncall.rota.diff import difference
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import layer_shifts

THREE = {"from": "2026-11-02", "people": ["p0", "p1", "p2"]}


def pasted(layers: str) -> Rotation:
    """A rotation with the text that was offered to paste."""
    return one_layer(*yaml.load(layers, yaml.BaseLoader))  # noqa: S506 - texts only


def people(r: Rotation, weeks: int = 8) -> list[str]:
    return [s.person for s in layer_shifts(r, "first", NOW, NOW + timedelta(weeks=weeks))]


def test_equal_versions_do_not_differ() -> None:
    assert not difference(rotation(), rotation(), NOW)


def test_an_edited_list_that_has_begun_is_counted_and_a_dated_list_is_offered() -> None:
    """The complaint of years: one new person at the end, and every later turn goes to others."""
    old, new = one_layer(THREE), one_layer({**THREE, "people": ["p0", "p1", "p2", "p3"]})
    found = difference(old, new, NOW)
    (edit,) = found.redealt
    assert (edit.layer, f"{edit.start}") == ("first", "2026-11-02")
    assert edit.count > 15
    better = pasted(edit.instead)
    assert people(old)[:6] == ["p0", "p1", "p2", "p0", "p1", "p2"]
    assert people(better)[:6] == ["p0", "p1", "p2", "p3", "p0", "p1"], "the next turns stay, the new person comes last"
    after = difference(old, better, NOW)
    assert (after.redealt, after.past) == ((), ())
    assert after.changes[0].begin > NOW + timedelta(weeks=2)


def test_a_person_who_is_removed_leaves_the_order_of_the_others() -> None:
    old = one_layer(THREE)
    (edit,) = difference(old, one_layer({**THREE, "people": ["p0", "p2"]}), NOW).redealt
    assert people(pasted(edit.instead))[:5] == ["p0", "p2", "p0", "p2", "p0"]


def test_the_offered_list_keeps_the_form_of_the_turns() -> None:
    hours = [{"days": ["mon", "fri"], "begin": "09:00", "end": "19:00"}]
    form = {
        "from": "2026-11-02",
        "every": "day",
        "length": 2,
        "at": ["08:00", "20:00"],
        "timezone": "Asia/Kolkata",
        "hours": hours,
    }
    old, new = (one_layer({**form, "people": names}) for names in (["p0", "p1"], ["p0", "p2", "p1"]))
    (edit,) = difference(old, new, NOW).redealt
    first, second = pasted(edit.instead).layers["first"]
    assert first == old.layers["first"][0]
    assert second.model_copy(update={"start": first.start, "people": first.people}) == first
    assert sorted(second.people) == ["p0", "p1", "p2"]


def test_a_list_that_has_not_begun_may_be_edited() -> None:
    later = {"from": "2026-12-07", "people": ["p0", "p1"]}
    found = difference(one_layer(THREE, later), one_layer(THREE, {**later, "people": ["p1", "p0", "p3"]}), NOW)
    assert found.redealt == ()
    assert found.changes


def test_the_shifts_that_change_hands_are_listed_with_level_people_dates_and_hours() -> None:
    swap = {"instead_of": "bob", "by": "dan", "begin": "2026-11-24T18:00+01:00", "end": "2026-11-24T20:00+01:00"}
    found = difference(rotation(), rotation(overrides=[swap]), NOW)
    (change,) = found.changes
    assert (change.level, change.before, change.after) == (1, ("bob",), ("dan",))
    assert change.begin == datetime(2026, 11, 24, 17, tzinfo=UTC)
    assert found.balance == {"bob": -2.0, "dan": 2.0}


def test_changes_of_people_and_of_past_hours_are_reported() -> None:
    old = rotation()
    phone = {"name": "Ann", "phone": "+49 170 7777777", "mail": "ann@octant.dev"}
    new = rotation(people={**{k: p.model_dump(mode="json") for k, p in old.people.items()}, "ann": phone})
    assert difference(old, new, NOW).others == ("ann: phone changed",)
    late = {
        "agency": [{"from": "2026-11-09", "people": ["ann", "bob"]}],
        "client": [{"from": "2026-11-02", "people": ["cat", "dan"]}],
    }
    past = difference(old, rotation(layers=late), NOW).past
    assert (past[0].before, past[0].after) == (("ann",), ())


# The command.


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a rotation that is committed."""
    folder = tmp_path / "clone" / "runbook"
    folder.mkdir(parents=True)
    (folder / "rotation.yaml").write_text(text())
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=folder.parent, check=True, capture_output=True)
    return folder


def diff(folder: Path, *options: str) -> Ran:
    env = {"PATH": "/usr/bin:/bin", "OCTANT_ROTATION_FILE": str(folder / "rotation.yaml"), "OCTANT_STATE_DIR": str(folder)}
    return run(env, "oncall", "diff", *options)


def edit(folder: Path) -> None:
    layers: Any = {
        "agency": [{"from": "2020-11-02", "people": ["ann", "bob"]}],
        "client": [{"from": "2026-11-02", "people": ["cat"]}],
    }
    (folder / "rotation.yaml").write_text(text(layers=layers))


def test_the_command_compares_with_a_git_ref_and_with_a_file(repository: Path, tmp_path: Path) -> None:
    assert "No shift changes hands against HEAD." in diff(repository).stdout
    edit(repository)
    shown = diff(repository).stdout
    assert "shifts or parts of shifts change hands" in shown
    assert "dan -> cat" in shown
    (tmp_path / "other.yaml").write_text((repository / "rotation.yaml").read_text())
    assert "No shift changes hands" in diff(repository, "--against", str(tmp_path / "other.yaml")).stdout


def test_with_strict_an_edit_that_deals_turns_anew_fails_and_the_report_shows_it(repository: Path, tmp_path: Path) -> None:
    report = tmp_path / "out" / "comment.md"
    assert diff(repository, "--strict", "--report", str(report)).returncode == 0
    assert not report.exists(), "nothing differs, so nothing is reported"
    edit(repository)
    ran = diff(repository, "--strict", "--report", str(report))
    assert ran.returncode == 1
    assert "client: the edit of the list from 2026-11-02 re-deals" in ran.stdout
    assert "add a dated list instead" in report.read_text()
    assert "## On-call rotation" in report.read_text()


@pytest.mark.parametrize("ref", ["no-such-branch", "--output=harm", "-p", " "])
def test_a_ref_that_does_not_exist_is_refused(repository: Path, ref: str) -> None:
    ran = diff(repository, f"--against={ref}")
    assert (ran.returncode, "neither a file nor a git ref" in ran.stderr) == (1, True)
    assert not list(repository.parent.rglob("harm"))


def test_a_version_that_cannot_be_compared_is_named_and_fails_no_change(repository: Path) -> None:
    """As when the file is new, or its form has changed."""
    file = repository / "rotation.yaml"
    for content in ("schedules: {}\n", None):
        if content is None:
            file.rename(repository / "renamed.yaml")
        else:
            file.write_text(content)
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "x"], cwd=repository, check=True)
        file.write_text(text())
        ran = diff(repository)
        assert (ran.returncode, "No shifts are compared" in ran.stdout) == (0, True)
    file.write_text("people: [")
    assert diff(repository).returncode == 1


def test_the_repositorys_rotation_is_compared_by_the_verb_of_ci() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nrotation:")[1].split("\n\n")[0]
    assert "oncall check" in recipe
    assert "oncall diff" in recipe
