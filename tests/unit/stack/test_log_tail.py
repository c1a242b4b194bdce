"""The end of a part's log, as a person reads it."""

import json
from pathlib import Path

from app.stack.log_tail import last_lines

SENTENCE = "the live release 2026-11-22 cannot be live:\n  prices.sha256 = 0000…: restore it."
TRACE = f'Traceback (most recent call last):\n  File "x.py", line 1, in f\napp.domain.errors.Misconfigured: {SENTENCE}'


def written(folder: Path, *lines: object) -> Path:
    log = folder / "log"
    log.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return log


def test_an_error_is_shown_as_its_own_sentence_and_once(tmp_path: Path) -> None:
    """Each worker that dies says the same again."""
    failed = [{"event": TRACE, "level": "error"}, {"event": "worker died", "exception": TRACE, "level": "critical"}]
    shown = last_lines(written(tmp_path, *failed, *failed), 15)
    assert shown == f"error: error: {SENTENCE}\ncritical: worker died: {SENTENCE}"


def test_an_error_that_is_no_sentence_of_ours_keeps_its_name(tmp_path: Path) -> None:
    trace = "Traceback (most recent call last):\n  …\nbuiltins.KeyError: 'x'"
    assert last_lines(written(tmp_path, {"event": "e", "exception": trace, "level": "error"}), 5).endswith("KeyError: 'x'")


def test_lines_of_any_other_form_stay_as_they_are(tmp_path: Path) -> None:
    lines = ["plain words", "[1, 2]", '{"no": "event"}', "{half"]
    assert last_lines(written(tmp_path, *lines), 3) == "\n".join(lines[1:])
    assert last_lines(tmp_path / "none", 3) == "(no log)"
