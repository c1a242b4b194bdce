"""Playing a game day, and stopping it. It breaks a service of its own, so that no caller of this one notices."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping
from pathlib import Path

import app as package
from app.console import gamedays
from app.console.acting import Act, Asked
from app.console.console import Console
from app.console.sessions import Session
from app.domain.errors import Forbidden, InvalidRequest, NotFound
from app.oncall.gamedays import FOLDER, TAKEN, played_now
from app.oncall.runbook.pages import FOLDER as RUNBOOK

BACK = "/console/gameday"
ROOT = Path(package.__file__).parents[1]
START_SECONDS = 30.0
PAUSE = 0.1
IN_PRODUCTION = "A game day takes two cores for minutes. In production it is played from a terminal of a machine without callers."
NONE = "No game day is being played here."
OF_ONE = ("begun",)  # the one that the page was about: another may have begun

Values = Mapping[str, str]


def actions(console: Console) -> Iterator[Act]:
    """The two actions."""
    state_dir, environment = console.parts.state_dir, console.parts.environment
    games = Games(state_dir)

    async def ask(values: Values) -> Asked:
        chosen = await asyncio.to_thread(_described, values["scenario"])
        _allowed(environment)
        return Asked(
            title=f"Game day: {chosen.title}",
            effect=f"It will start a service of its own on this machine, break that for {chosen.seconds:g} seconds, follow the"
            f" runbook as it stands, and throw the service away; it will take two cores for some"
            f" minutes. Hypothesis: {chosen.hypothesis}",
            command=f"octant drill gameday {values['scenario']}",
            button="Play it",
            strong=False,
        )

    async def play(values: Values, _reason: str, _session: Session) -> str:
        _allowed(environment)
        await games.start(values["scenario"])
        return f"The game day {values['scenario']} is being played."

    async def ask_stop(values: Values) -> Asked:
        now = await asyncio.to_thread(played_now, state_dir)
        if now is None:
            raise NotFound(NONE)
        if values.get("begun") and values["begun"] != now.begun_at.isoformat():
            raise InvalidRequest(f"That game day is over. Another one, {now.scenario}, is being played now.")
        return Asked(
            settled={"begun": now.begun_at.isoformat()},
            title=f"Stop the game day {now.scenario}",
            effect="It will end the fault and the service that was started for it. It will leave no report.",
            command=f"kill -INT {now.pid}",
            button="Stop it",
        )

    async def stop(_values: Values, _reason: str, _session: Session) -> str:
        now = await asyncio.to_thread(played_now, state_dir)
        if now is None:
            raise NotFound(NONE)
        os.kill(now.pid, signal.SIGINT)
        return f"The game day {now.scenario} ends."

    yield Act(name="drill-gameday", fields=("scenario",), ask=ask, do=play, back=BACK, label="Play a game day:")
    yield Act(name="drill-gameday-stop", fields=OF_ONE, optional=OF_ONE, ask=ask_stop, do=stop, back=BACK)


def refusal(environment: str) -> str:
    """Why none is played from the console here; empty where one may be."""
    return IN_PRODUCTION if environment == "production" else ""


def _allowed(environment: str) -> None:
    if why := refusal(environment):
        raise Forbidden(why)


def _described(name: str) -> gamedays.Scenario:
    """The scenario of this name. Raises NotFound."""
    found = next((one for one in gamedays.scenarios(RUNBOOK) if one.name == name), None)
    if found is None:
        raise NotFound("The runbook has no such game day.")
    return found


class Games:
    """Starts the command that plays one, in a session of its own: it goes on when this worker stops."""

    def __init__(self, state_dir: Path) -> None:
        """Starts nothing."""
        self._state_dir = state_dir
        self._folder = state_dir / FOLDER
        self._waits: set[asyncio.Task[int]] = set()

    async def start(self, scenario: str) -> None:
        """Start it, and wait until it is under way. Raises InvalidRequest beside another, or with its last words if it ended."""
        if await asyncio.to_thread(played_now, self._state_dir):
            raise InvalidRequest(TAKEN)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._folder) as printed:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.cli", "drill", "gameday", scenario,
                stdin=DEVNULL, stdout=printed, stderr=printed, start_new_session=True, cwd=ROOT,
            )  # fmt: skip
            waits = asyncio.create_task(process.wait())
            self._waits.add(waits)  # a child that has ended stays a zombie until it is waited for
            waits.add_done_callback(self._waits.discard)
            for _ in range(int(START_SECONDS / PAUSE)):
                now = await asyncio.to_thread(played_now, self._state_dir)
                if now and now.pid == process.pid:
                    return
                if waits.done():
                    break
                await asyncio.sleep(PAUSE)
            printed.seek(0)
            words = printed.read().decode(errors="replace").strip().splitlines()
        raise InvalidRequest(f"The game day did not begin: {words[-1] if words else 'it printed nothing'}")
