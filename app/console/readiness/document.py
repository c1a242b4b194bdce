"""The review as one HTML file without scripts and links to other files, and as a PDF; either can be attached to a proposal."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from app import __version__
from app.console.console import templates
from app.console.readiness.answers import KINDS, ORDER, SHORT, Answer
from app.console.readiness.review import number_of, oldest, summary
from app.domain.errors import Misconfigured
from app.domain.unseen import revealed

NAME = "readiness"  # of the file
# The first starts in half of the others' CPU: it has no window's parts.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PRINT_SECONDS = 60
NO_BROWSER = (
    "A PDF is printed by Chromium, which this machine does not have: `make tools` installs it. Or write the file with --html and"
    " print it from any browser."
)


def document(answers: Sequence[Answer], *, environment: str, now: datetime) -> str:
    """The whole file. ``environment`` as the settings name it; ``now``: when the answers were checked."""
    kind, words = summary(answers)
    open_ = [(one.axis, fact) for one in answers for fact in one.evidence if fact.state != "proved"]
    gaps = sorted(open_, key=lambda one: -ORDER.index(one[1].state))  # the worst first
    template = templates().get_template("readiness_document.html")
    written = template.render(
        answers=answers, kind=kind, words=words, gaps=gaps, oldest=oldest(answers), kinds=KINDS, states=SHORT, now=now,
        environment=environment, version=__version__, numbers={one.axis: number_of(one.axis) for one in answers},
    )  # fmt: skip
    return revealed(written)


def chromium() -> str | None:
    """The Chromium of this machine; None where it has none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def print_pdf(html: str, path: Path) -> None:
    """Print the file with Chromium, which reaches no network. Raises Misconfigured where it cannot."""
    browser = chromium()
    if browser is None:
        raise Misconfigured(NO_BROWSER)
    with tempfile.TemporaryDirectory(prefix="octant-print-") as name:
        folder = Path(name)
        source, printed = folder / "readiness.html", folder / "readiness.pdf"
        source.write_text(html, encoding="utf-8")
        options = [
            "--headless", "--disable-gpu", "--no-pdf-header-footer",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={printed}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium's own sandbox refuses root
        ]  # fmt: skip
        try:
            ended = subprocess.run(  # noqa: S603 - a browser by its name, and our own file
                [browser, *options, source.as_uri()], capture_output=True, timeout=PRINT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Misconfigured(f"{browser} did not print the review ({type(error).__name__}). Use --html instead.") from error
        if ended.returncode or not printed.is_file():
            last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise Misconfigured(f"{browser} did not print the review: {last[0]}. Use --html instead.")
        shutil.copyfile(printed, path)
