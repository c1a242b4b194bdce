"""The runbook's commands, followed literally: extracted from the console blocks of a page's sections and run by a shell."""

import asyncio
import os
import re
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import Misconfigured
from app.oncall.runbook.pages import blanks

ADDRESS = "http://127.0.0.1:8080"  # as the pages write it
LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Followed:
    """One command as it was run. ``works``: it ended with 0 and printed something.

    ``stayed``: it was to contain the fault, and callers were harmed as before.
    """

    command: str
    works: bool
    code: int | None
    seconds: float
    output: str
    stayed: bool = False

    @property
    def ending(self) -> str:
        """How it ended, in words; of one that failed with what failed."""
        left = ", and the fault stayed" if self.stayed else ""
        if self.code is None:
            return "did not end in time" if self.seconds else "was not run"
        if self.code:
            return f"FAILS with exit code {self.code}{left}"
        return f"works{left}" if self.works else f"ran, and printed nothing{left}"


def commands(page: str, sections: Sequence[str]) -> list[str]:
    """The commands of these sections, in order. Raises Misconfigured for a section that the page lacks."""
    found = []
    for title in sections:
        section = re.search(rf"^##+ {re.escape(title)}$(.*?)(?=^##? |\Z)", page, re.MULTILINE | re.DOTALL)
        if section is None:
            raise Misconfigured(f"The page has no section {title!r}.")
        for block in re.findall(r"```console\n(.*?)```", section[1], re.DOTALL):
            found += [line.strip()[2:] for line in block.splitlines() if line.strip().startswith("$ ")]
    return found


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands as an operator would: `octant` on the path, the stage's address and ids in place of the page's."""

    env: Mapping[str, str]
    url: str
    words: Mapping[str, str]

    async def follow(self, command: str) -> Followed:
        """Run one command. A placeholder that has no value fails it: a person would not know what to write either."""
        line = self.filled(command)
        if left := blanks(line):
            return Followed(line, works=False, code=None, seconds=0.0, output=f"nothing fills in {left[0]}")
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", line, env=self.env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                out, errors = await process.communicate()
        except TimeoutError:
            os.killpg(process.pid, 9)
            await process.wait()
            return Followed(line, works=False, code=None, seconds=LONGEST_SECONDS, output="it did not end")
        text = out.decode(errors="replace")
        shown = text if process.returncode == 0 else errors.decode(errors="replace") or text
        return Followed(
            line, works=process.returncode == 0 and bool(text.strip()), code=process.returncode,
            seconds=time.monotonic() - began, output=shown.strip(),
        )  # fmt: skip

    def filled(self, command: str) -> str:
        """A command of a page with the stage's address and values."""
        line = command.replace(ADDRESS, self.url)
        for word, value in self.words.items():
            line = re.sub(rf"\b{word}\b", value, line)
        return line

    async def shows(self, command: str, pattern: str) -> bool:
        """Whether a command's output matches."""
        followed = await self.follow(command)
        return re.search(pattern, followed.output) is not None


def cut(text: str, most: int) -> str:
    """A text, or its first lines that fit, with a sign that more came; of one long line its begin."""
    if len(text) <= most:
        return text
    whole, line_break, _ = text[:most].rpartition("\n")
    return f"{whole}\n…" if line_break else f"{text[: most - 1]}…"


def octant_in(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The environment with a program `octant` on its path that runs this code."""
    program = folder / "bin" / "octant"
    program.parent.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parents[3]
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m app.cli "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {**env, "PATH": f"{program.parent}{os.pathsep}{env.get('PATH', os.defpath)}"}
