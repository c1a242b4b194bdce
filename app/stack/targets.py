"""The deploy targets: how code goes back to a version that was deployed before, by each target's own means (B2).

Docker or Kubernetes pulls an image; git makes a checkout. A target knows the commands for that, and ``--dry-run`` prints them.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.domain.errors import Misconfigured
from app.releases.code import Deployed
from app.settings import DeploySettings
from app.stack import runner

IMAGE = "OCTANT_IMAGE"  # the variable of docker-compose.yml
TICK = 0.1


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a target's own tool, with the variables that are set for it."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a shell takes it."""
        return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in self.variables.items()), shlex.join(self.words)])


class Target(Protocol):
    """A deploy target."""

    def commands(self, to: Deployed, *, named: bool) -> Sequence[Command]:
        """The commands that bring this code back. ``named``: an operator named it, so it need not be the one before."""
        ...

    def go(self, to: Deployed, *, named: bool) -> None:
        """Bring it back, and wait for the tool to say so. Raises Misconfigured."""
        ...

    def advice(self, to: Deployed) -> str:
        """What an operator has to do besides; empty for nothing."""
        ...


def target_of(settings: DeploySettings) -> Target:
    """The target that the settings name. Raises Misconfigured where they name none."""
    match settings.target:
        case "compose":
            return Compose(settings)
        case "kubernetes":
            return Kubernetes(settings)
        case "process":
            return Process(settings)
        case _:
            raise Misconfigured(
                "OCTANT_DEPLOY__TARGET names no deploy target, so this command cannot move code. Set it to compose, kubernetes or"
                " process, or deploy the earlier version by your own means: `octant release code` lists what ran."
            )


@dataclass(frozen=True, slots=True)
class Compose:
    """Docker Compose: the services of our image are started again with the image from before.

    Their dependencies are left alone: `setup` of earlier code would refuse a newer schema.
    """

    settings: DeploySettings

    def commands(self, to: Deployed, *, named: bool) -> Sequence[Command]:  # noqa: ARG002 - the port's
        """See `Target`."""
        file = ("-f", str(self.settings.compose_file))
        up = (
            "docker",
            "compose",
            *file,
            "--profile",
            "core",
            "up",
            "-d",
            "--no-build",
            "--no-deps",
            "--wait",
            *self.settings.services,
        )
        return [Command(up, {IMAGE: to.code})]

    def go(self, to: Deployed, *, named: bool) -> None:
        """See `Target`."""
        _run_all(self.commands(to, named=named), self.settings.patience)

    def advice(self, to: Deployed) -> str:
        """See `Target`."""
        moved = "" if "sha256:" in to.code else f" {to.code} is a tag, which can move: deploy by digest."
        return f"Set {IMAGE}={to.code} in .env too, or the next `docker compose up` goes forward again.{moved}"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Kubernetes: each deployment's rollout is undone, or its image set to a certain one, and waited for."""

    settings: DeploySettings

    def commands(self, to: Deployed, *, named: bool) -> Sequence[Command]:
        """See `Target`."""
        base = ("kubectl", "--namespace", self.settings.namespace)
        names = [f"deployment/{name}" for name in self.settings.deployments]
        back = [(*base, "set", "image", name, f"*={to.code}") if named else (*base, "rollout", "undo", name) for name in names]
        wait = [(*base, "rollout", "status", name, f"--timeout={self.settings.patience:.0f}s") for name in names]
        return [Command(words) for words in (*back, *wait)]

    def go(self, to: Deployed, *, named: bool) -> None:
        """See `Target`."""
        _run_all(self.commands(to, named=named), self.settings.patience)

    def advice(self, to: Deployed) -> str:
        """See `Target`."""
        return f"Set the image to {to.code} in your manifests too, or the next apply goes forward again."


@dataclass(frozen=True, slots=True)
class Process:
    """The runner (`octant run`): the link `current` is pointed at the checkout from before, and the runner hands over."""

    settings: DeploySettings

    def commands(self, to: Deployed, *, named: bool) -> Sequence[Command]:  # noqa: ARG002 - the port's
        """See `Target`."""
        folder = self.settings.folder
        pid = str(runner.state_of(folder).pid)
        return [Command(("ln", "-sfn", to.place, str(folder / runner.CURRENT))), Command(("kill", "-HUP", pid))]

    def go(self, to: Deployed, *, named: bool) -> None:  # noqa: ARG002 - the port's
        """See `Target`."""
        folder = self.settings.folder
        before = runner.state_of(folder)
        runner.switch(folder, Path(to.place))
        os.kill(before.pid, signal.SIGHUP)
        ends = time.monotonic() + self.settings.patience
        while (state := runner.state_of(folder)) == before:
            if time.monotonic() > ends:
                raise Misconfigured(f"The runner (pid {before.pid}) has not handed over after {self.settings.patience:g} s.")
            time.sleep(TICK)
        if state.error:
            raise Misconfigured(f"The earlier code does not start; {state.checkout} goes on. {state.error}")

    def advice(self, to: Deployed) -> str:  # noqa: ARG002 - the port's
        """See `Target`."""
        return ""


def _run_all(commands: Sequence[Command], seconds: float) -> None:
    """Run commands one after the other. Raises Misconfigured for a tool that is not here, and for one that fails."""
    listed = "\n".join(f"  {command}" for command in commands)
    if missing := sorted({c.words[0] for c in commands if not shutil.which(c.words[0])}):
        raise Misconfigured(f"{', '.join(missing)} is not on this machine. Run this where it is:\n{listed}")
    for command in commands:
        try:
            ran = subprocess.run(
                command.words,
                env={**os.environ, **command.variables},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Misconfigured(f"This did not end within {seconds:g} s:\n  {command}") from None
        if ran.returncode:
            raise Misconfigured(
                f"This failed with exit code {ran.returncode}:\n  {command}\n{(ran.stderr or ran.stdout).strip()}"
            )
