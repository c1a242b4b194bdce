"""The way back through the code that ran (B2)."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.errors import Misconfigured
from app.releases.code import ROLLBACK, START, Deployed, commit_of, path_of, target

AT = datetime(2026, 11, 26, tzinfo=UTC)


def rows(*words: str) -> list[Deployed]:
    """`a` for a start of the code a, `<a` for a rollback to it."""
    return [
        Deployed(word.removeprefix("<"), "1", f"/{number}", (f"{number}",), ROLLBACK if word[0] == "<" else START, "by", "", AT)
        for number, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("history", "path"),
    [
        ("a a b b", "a b"),
        ("a b <a a", "a"),
        ("a b <a a c", "a c"),
        ("a b c <b b <a a", "a"),
        ("a b a", "a b a"),  # a deploy forward of earlier code is no rollback
        ("a b <a b", "a b"),  # the rollback failed
    ],
)
def test_a_rollback_takes_away_what_came_after_its_target(history: str, path: str) -> None:
    assert path_of(rows(*history.split())) == path.split()


def test_the_code_before_is_found_with_the_schema_that_it_had_at_first() -> None:
    found = target(rows("a", "a", "b", "a", "c"))
    assert (found.code, found.schema, found.place) == ("a", ("0",), "/0")


def test_code_is_named_by_the_beginning_of_its_name() -> None:
    history = rows("sha256:aaa1", "sha256:aab2", "sha256:bbb3")
    assert target(history, "sha256:aab").code == "sha256:aab2"
    for wrong, message in (("sha256:aa", "2 codes"), ("sha256:c", "0 codes"), ("sha256:bbb3", "runs already")):
        with pytest.raises(Misconfigured, match=message):
            target(history, wrong)


@pytest.mark.parametrize("history", ["a a", "a b <a a"])
def test_without_earlier_code_the_refusal_says_what_is_known(history: str) -> None:
    with pytest.raises(Misconfigured, match="No earlier code ran here"):
        target(rows(*history.split()))


def test_the_commit_of_a_checkout_is_read_without_git_linked_packed_or_loose(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]

    def run(*words: str, at: Path = main) -> str:
        return subprocess.run([*git, *words], cwd=at, check=True, capture_output=True, text=True).stdout.strip()

    main.mkdir()
    run("init", "-q")
    run("commit", "-q", "--allow-empty", "-m", "one")
    run("worktree", "add", "-q", str(linked))
    run("commit", "-q", "--allow-empty", "-m", "two", at=linked)
    wanted = [run("rev-parse", "HEAD", at=at) for at in (main, linked)]
    assert len(set(wanted)) == 2
    assert [commit_of(main), commit_of(linked)] == wanted
    run("pack-refs", "--all")
    assert [commit_of(main), commit_of(linked)] == wanted
    run("checkout", "-q", "--detach", at=linked)
    assert commit_of(linked) == wanted[1]
    assert commit_of(tmp_path) == ""
