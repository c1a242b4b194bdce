"""`make` installs by hash, quickly, and without our addresses (S9).

A stand-in for the virtual environment notes what is called with which settings; nothing is downloaded.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

PYTHON = """#!/bin/sh
case "$*" in
  *"config list"*) cat "$STAND_IN/pip.conf";;
  "-m pip"*) echo "pip $*" >> "$STAND_IN/calls";;
  *) echo "$STAND_IN/site";;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> "$STAND_IN/calls"
env | grep -E '^(UV_|SSL_CERT_FILE)' >> "$STAND_IN/settings"
[ -z "$UV_SAYS" ] || cat "$UV_SAYS" >&2
sleep "${UV_SLEEPS:-0}"
exit "$UV_EXIT"
"""


@dataclass(frozen=True)
class Installed:
    folder: Path
    output: str

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    @property
    def settings(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "settings").read_text().splitlines())


def install(folder: Path, pip_conf: str = "", *, uv_exit: int = 0, **env: str) -> Installed:
    (folder / "site").mkdir()
    (folder / "pip.conf").write_text(pip_conf)
    for name, text in (("python", PYTHON), ("uv", UV)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    run = subprocess.run(
        ["sh", "requirements/install.sh", str(folder), "requirements/run.lock"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "STAND_IN": str(folder), "UV_EXIT": str(uv_exit), **env},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return Installed(folder, run.stdout)


def test_it_installs_by_hash_with_uv_that_was_installed_by_hash(tmp_path: Path) -> None:
    calls = install(tmp_path).calls
    assert [call.split()[0] for call in calls] == ["pip", "uv"]
    assert all("--require-hashes" in call for call in calls)


def test_uv_gets_the_certificates_and_indexes_of_pip(tmp_path: Path) -> None:
    """Without certificates uv fails behind a company's proxy.

    The install by pip takes three times as long.
    """
    conf = """:env:.cert='/etc/ca.crt'
global.cert='/etc/ca.crt'
global.index-url='https://packages.example.com/simple'
global.extra-index-url='https://a.example.com/simple\\nhttps://b.example.com/simple'
install.find-links='/wheels /more'
"""
    settings = install(tmp_path, conf).settings
    assert settings["SSL_CERT_FILE"] == "/etc/ca.crt"
    assert settings["UV_DEFAULT_INDEX"] == "https://packages.example.com/simple"
    assert settings["UV_INDEX"] == "https://a.example.com/simple https://b.example.com/simple"
    assert settings["UV_FIND_LINKS"] == "/wheels,/more"


def test_settings_of_uv_itself_stay(tmp_path: Path) -> None:
    settings = install(
        tmp_path, "global.index-url='https://pip.example.com'\n", UV_DEFAULT_INDEX="https://uv.example.com"
    ).settings
    assert settings["UV_DEFAULT_INDEX"] == "https://uv.example.com"


def test_where_uv_fails_pip_installs_the_same_lock_by_hash_and_says_so(tmp_path: Path) -> None:
    installed = install(tmp_path, uv_exit=1)
    assert "uv could not" in installed.output
    assert re.search(r"^pip .*install .*--require-hashes -r requirements/run\.lock$", installed.calls[-1])


def test_the_project_is_importable_without_a_build(tmp_path: Path) -> None:
    install(tmp_path)
    assert (tmp_path / "site" / "octant.pth").read_text().strip() == str(ROOT)
    assert (tmp_path / "octant").stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["run", "dev", "uv"])
def test_every_package_of_a_lock_has_a_version_and_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / f"requirements/{name}.lock").read_text())[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_development_lock_holds_the_same_versions_as_the_one_that_is_deployed() -> None:
    run, dev = (
        set(re.findall(r"^[a-z0-9.-]+==[^\s;\\]+", (ROOT / f"requirements/{n}.lock").read_text(), re.MULTILINE))
        for n in ("run", "dev")
    )
    assert run <= dev


def test_a_python_that_is_too_old_is_reported_by_its_number(tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.version_info = (3, 9); exec('''$2''')\"\n")
    old.chmod(0o755)
    command = ["make", "demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode != 0
    assert "needs Python 3.11 or newer" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_the_steps_of_an_installation_are_shown_as_they_come(tmp_path: Path) -> None:
    """Fifty silent seconds look like a hang."""
    steps = ["Resolved 9 packages in 2ms", "Downloading big (12.0MiB)", "Prepared 9 packages in 3s", "Installed 9 packages in 1s"]
    (tmp_path / "steps").write_text("\n".join([*steps, " + one==1.0"]))
    shown = install(tmp_path, UV_SAYS=str(tmp_path / "steps")).output.splitlines()
    assert re.fullmatch(r"Installing requirements/run\.lock, \d\d+ packages: about a minute the first time", shown[0])
    assert [line.strip() for line in shown[1:]] == steps


def test_a_slow_installation_says_every_five_seconds_that_it_goes_on(tmp_path: Path) -> None:
    assert "… 5 s" in install(tmp_path, UV_SLEEPS="7").output
