"""The command `aider`: questions, and an edit of a file in a repository."""

import os
import shutil
import subprocess
from pathlib import Path

from capability import KEY, URL, capability, holds, main, same, script

COMMAND = Path(os.environ["CLIENT_FOLDER"]) / "bin" / "aider"
KEYS = {
    "chat": {"OPENAI_API_BASE": f"{URL}/v1", "OPENAI_API_KEY": KEY},
    "messages": {"ANTHROPIC_API_BASE": URL, "ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_KEY": KEY},
}
MODELS = {"chat": "openai/smart", "messages": "anthropic/smart"}
QUIET = [
    "--no-git",
    "--yes-always",
    "--no-check-update",
    "--no-analytics",
    "--no-show-model-warnings",
    "--no-pretty",
    "--no-show-release-notes",
    "--no-detect-urls",
]
# The list of models' prices that it would download, from the package that it is made of.
(PRICES := Path.home() / ".aider" / "caches").mkdir(parents=True)
LIST = next(
    Path(os.environ["CLIENT_FOLDER"]).glob("lib/python*/site-packages/litellm/model_prices_and_context_window_backup.json")
)
shutil.copy(LIST, PRICES / "model_prices_and_context_window.json")
EDIT = "Here it is.\n\nnote.txt\n```\nhello\nworld\n```\n"


def aider(way, text, *more):
    env = {**os.environ, **KEYS[way]}
    command = [COMMAND, "--model", MODELS[way], *QUIET, "--message", text, *more]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return run.stdout + run.stderr


def capabilities(way):
    @capability("text", way)
    def _():
        holds(
            aider(way, script({"say": "The model says hello."}), "--edit-format", "ask", "--no-stream"), "The model says hello."
        )

    @capability("stream", way)
    def _():
        holds(aider(way, script({"say": "The model says hello."}), "--edit-format", "ask"), "The model says hello.")

    @capability("agent", way)
    def _():
        """The model's edit is in the file."""
        Path("note.txt").write_text("hello\n")
        output = aider(way, script({"say": EDIT}), "--edit-format", "whole", "note.txt")
        same((Path("note.txt").read_text(), output), ("hello\nworld\n", output))

    @capability("bad key", way)
    def _():
        KEYS[way] = {name: "wrong" if name.endswith("KEY") else value for name, value in KEYS[way].items()}
        holds(aider(way, "hi", "--edit-format", "ask"), "AuthenticationError")


for way_ in MODELS:
    capabilities(way_)

if __name__ == "__main__":
    main()
