"""The audit finds planted secrets, licences and advisories (S9)."""

import json
import subprocess
from importlib.metadata import Distribution
from pathlib import Path
from typing import cast

import pytest
from conftest import ROOT

from app.security.keys import token
from supply import advisories, bill, licences, secrets

# Put together here, so that this file does not hold what the audit looks for.
PLANTED = {
    "AWS Access Key": "AKIA" + "Z7QK4M2XW9PB3LTN",
    "GitHub Token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "OpenAI Token": "sk-" + "a1B2c3D4e5F6g7H8i9J0" + "T3BlbkFJ" + "k1L2m3N4o5P6q7R8s9T0",
    "Octant API key": token.new(),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def git(at: Path, *words: str) -> None:
    about = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *about, *words], cwd=at, check=True, capture_output=True)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found_in_a_tracked_file_and_later_in_the_history(repository: Path, kind: str) -> None:
    file = repository / "notes.py"
    file.write_text(f'x = 1\nkey = "{PLANTED[kind]}"\n')
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    assert kind in {found.kind for found in secrets.in_files(repository)}
    file.write_text("x = 1\n")
    git(repository, "commit", "-qam", "two")
    assert list(secrets.in_files(repository)) == []
    (found, *_) = [f for f in secrets.in_history(repository) if f.kind == kind]
    assert found.where.endswith(":notes.py")
    assert PLANTED[kind] not in repr(found)


def test_what_is_found_fails_and_what_is_allowed_does_not(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "a.txt").write_text(PLANTED["GitHub Token"])
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    assert secrets.report(repository)
    (found, *_) = secrets.in_files(repository)
    monkeypatch.setattr(secrets, "allowances", lambda: {found.digest: "made up"})
    assert not secrets.report(repository)
    monkeypatch.setattr(secrets, "allowances", lambda: {found.digest: "made up", "0" * 16: "of a file that went"})
    assert secrets.report(repository)
    assert "0000000000000000 is allowed and nothing has it any more" in capsys.readouterr().out


def test_one_allowed_token_does_not_allow_another_of_its_kind() -> None:
    one, other = PLANTED["GitHub Token"], PLANTED["GitHub Token"][:-1] + "9"
    digests = [{f.digest for f in secrets.in_text(text, "x") if f.kind == "GitHub Token"} for text in (one, other)]
    assert digests[0]
    assert not digests[0] & digests[1]


def test_the_checksum_of_a_key_of_ours_sets_it_apart_from_a_look_alike() -> None:
    key = token.new()
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert [f.kind for f in secrets.in_text(key, "x")] == ["Octant API key"]
    assert list(secrets.in_text(other, "x")) == []


def test_every_allowance_has_its_reason() -> None:
    """`make audit` finds those that nothing needs any more: it reads the whole history."""
    assert all(secrets.allowances().values())


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("AGPL-3.0-or-later", False),
        ("", False),
        ("Our own terms", False),
    ],
)
def test_a_licence_is_allowed_if_its_expression_can_be_met(expression: str, fine: bool) -> None:
    assert licences.allowed(expression, frozenset({"MIT", "Apache-2.0", "BSD-2-Clause"})) is fine


def test_a_package_with_a_forbidden_licence_or_none_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Package:
        def __init__(self, name: str, licence: str) -> None:
            self.metadata = {"Name": name, "License-Expression": licence}

    packages = [Package("fine", "MIT"), Package("viral", "AGPL-3.0-only"), Package("silent", "")]
    monkeypatch.setattr(licences, "distributions", lambda: cast("list[Distribution]", packages))
    lock = tmp_path / "x.lock"
    lock.write_text("fine==1\nviral==1\nsilent==1\n")
    assert licences.report(lock)
    output = capsys.readouterr().out
    assert "viral: AGPL-3.0-only" in output
    assert "silent: none named" in output
    assert "fine" not in output


def test_what_this_environment_has_installed_may_be_shipped() -> None:
    assert not licences.report(ROOT / "requirements" / "run.lock")


def test_a_service_without_advisories_is_reported_and_the_lock_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mirror without advisories skips every package: that must not look like a clean result."""
    calls: list[tuple[str, ...]] = []

    def mirror(*words: str) -> dict[str, list[dict[str, object]]]:
        calls.append(words)
        return {"dependencies": [{"name": "jinja2", "skip_reason": "not found"}]}

    monkeypatch.setattr(advisories, "_ask", mirror)
    assert advisories.report(Path("run.lock")) is advisories.Answer.NONE
    assert "NOT CHECKED" in capsys.readouterr().out
    assert len(calls) == 1


def test_an_advisory_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"dependencies": [{"name": "jinja2", "version": "2.11.2", "vulns": [{"id": "PYSEC-2021-66"}]}]}
    monkeypatch.setattr(advisories, "_ask", lambda *_: bad)
    assert advisories.report(Path("run.lock")) is advisories.Answer.FOUND
    assert "jinja2 2.11.2: PYSEC-2021-66" in capsys.readouterr().out


def test_the_bill_of_materials_lists_every_locked_package_with_hashes(tmp_path: Path) -> None:
    lock, output = ROOT / "requirements" / "run.lock", tmp_path / "bill.json"
    assert bill.write(lock, output) == 0
    document = json.loads(output.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    named = {licences.normal(c["name"]) for c in document["components"]}
    assert named == {licences.normal(line.split("==")[0]) for line in lock.read_text().splitlines() if "==" in line[:60]}
    assert all(c["externalReferences"][0]["hashes"] for c in document["components"])
