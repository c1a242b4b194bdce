"""A note by which the `octant` command finds a running demo's stores.

The note is in the state folder here or in a folder above. It is believed only if the demo that wrote it still runs (process id
and start time), and if the file is this user's alone, in a folder of this user: another user's note would lead an operator's
command to stores of that user's choice. A store of the demo need not answer: a frozen one is when the kill switch is needed most,
and each command says itself which store is away.
"""

import hashlib
import json
import os
import stat
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from app.domain.hosts import authority
from app.setting_sources import PREFIX
from app.settings import Settings
from app.stack.same_process import same, started

NOTE, SIMULATOR = "running.json", "simulator.json"
SECRET = ("SECRET", "KEY", "PASSWORD", "TOKEN")  # in names of settings: these stay out of the note


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: its process, its address, and the settings that it gave its own parts."""

    pid: int
    started: float
    url: str
    env: Mapping[str, str]
    simulated: tuple[str, ...]
    control: int | None  # the simulator's control port
    secret: str  # a fingerprint: keys made with another secret do not work with this demo
    folder: Path = Path()

    def hand_over_settings(self) -> None:
        """Give this process the demo's settings; values in the environment and in the local `.env` win.

        An empty value does not count. A group that is set as JSON wins as a whole.
        """
        sources = (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings))
        present = {name.upper() for source in sources for name, value in source.env_vars.items() if value}
        for name, value in self.env.items():
            if not present & {name, name.partition("__")[0]}:
                os.environ[name] = value

    def same_secret(self, settings: Settings) -> bool:
        """Whether keys made with these settings work with the demo."""
        return self.secret == fingerprint(settings)


def fingerprint(settings: Settings) -> str:
    """A digest that identifies a secret without revealing it."""
    return hashlib.sha256(b"running demo:" + settings.secret).hexdigest()[:16]


def given() -> dict[str, str]:
    """The settings in this process' environment that are no secrets: commands shall see a demo's as it does."""
    found = {name: value for name, value in EnvSettingsSource(Settings).env_vars.items() if value and name.startswith(PREFIX)}
    return {name.upper(): value for name, value in found.items() if not any(word in name.upper() for word in SECRET)}


def note_of(settings: Settings, env: Mapping[str, str], simulated: Sequence[str]) -> Demo:
    """Describe this process, a demo. With absolute paths the settings' files are found from any folder."""
    files = ("state_dir", "releases_dir", "rotation_file", "rehearsals_file")
    paths = {f"OCTANT_{name.upper()}": str(getattr(settings, name).resolve()) for name in files}
    ports = settings.state_dir / SIMULATOR
    return Demo(
        pid=os.getpid(),
        started=started(psutil.Process()),
        url=f"http://{authority(settings.host, settings.port)}",
        env={**env, **paths},
        simulated=tuple(simulated),
        control=int(json.loads(ports.read_text())["control"]) if simulated else None,
        secret=fingerprint(settings),
        folder=settings.state_dir.resolve(),
    )


@contextmanager
def noted(demo: Demo) -> Generator[None, None, None]:
    """Keep the note of a demo in its state folder until the end of the block."""
    note = demo.folder / NOTE
    fresh = note.with_suffix(".new")
    fields = {name: value for name, value in asdict(demo).items() if name != "folder"}
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(fields), encoding="utf-8")
    fresh.rename(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def find(state_dir: Path, *, above: bool = True) -> Demo | None:
    """Find the running demo in this state folder; for a relative one, also in the folders ``above``."""
    return next(filter(None, map(_read, _folders(state_dir, above=above))), None)


def places(state_dir: Path) -> list[Path]:
    """The existing state folders here and above, with or without a running demo."""
    return [folder for folder in _folders(state_dir) if folder.is_dir()]


def _folders(state_dir: Path, *, above: bool = True) -> Iterator[Path]:
    here = Path.cwd()
    yield here / state_dir  # an absolute path stays as it is
    if above and not state_dir.is_absolute():
        yield from (folder / state_dir for folder in here.parents)


def _read(folder: Path) -> Demo | None:
    try:
        fields = json.loads(_own_text(folder))
        env = {name: str(value) for name, value in fields["env"].items() if name.startswith("OCTANT_")}
        demo = Demo(**{**fields, "env": env, "simulated": tuple(fields["simulated"]), "folder": folder})
        process = psutil.Process(demo.pid)
        runs = same(process, demo.started) and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, TypeError, AttributeError, KeyError, psutil.Error):
        return None  # no note, half a note, a note of another user or version, or of a demo that is gone
    return demo if runs else None


def _own_text(folder: Path) -> str:
    """Read the note. Raises PermissionError unless note and folder are this user's, and the note not writable by others.

    Checked and read through one descriptor, so the file cannot be replaced in between; a link or a pipe is not followed.
    """
    with ExitStack() as opened:
        home = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, home)
        note = opened.enter_context(
            os.fdopen(os.open(NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=home), encoding="utf-8")
        )
        about = os.fstat(note.fileno())
        owners = {about.st_uid, os.fstat(home).st_uid}
        if owners != {os.geteuid()} or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError
        return note.read()
