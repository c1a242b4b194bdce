"""Secrets in tracked files and in every line that the branch's history ever added, by detect-secrets' detectors and our own.

detect-secrets' guesses by entropy and by variable name are off: in a repository full of hashes they drown what is found by its
shape. `allowed_secrets.toml` holds the hash of each look-alike that is no secret, with the reason.
"""

import hashlib
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector

from supply.octant_key import OctantKeyDetector

ALLOWED = Path(__file__).parent / "allowed_secrets.toml"
GUESSES = frozenset({"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector", "IPPublicDetector"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that looks like a secret: where, of what kind, and its SHA-256, cut short; never the secret."""

    where: str
    kind: str
    digest: str


def report(root: Path) -> bool:
    """Search files and history. Returns whether any finding is not allowed, or an allowance is not needed any more."""
    allowed, seen = allowances(), {*in_files(root), *in_history(root)}
    found = {f for f in seen if f.digest not in allowed}
    for finding in sorted(found, key=lambda f: (f.where, f.kind)):
        print(f"secrets: {finding.where}: {finding.kind} ({finding.digest})")
    shallow = (
        _git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    )  # then what needs an allowance may be out of sight
    unneeded = set() if shallow else allowed.keys() - {f.digest for f in seen}
    for digest in sorted(unneeded):
        print(f"secrets: {digest} is allowed and nothing has it any more: remove it from {ALLOWED.name}")
    if shallow:
        print("secrets: this clone has no whole history (git fetch --unshallow), so only what it has was searched")
    print(f"secrets: {len(found)} found in tracked files and history; {len(allowed)} look-alikes are allowed, each for a reason")
    return bool(found or unneeded)


def allowances() -> dict[str, str]:
    """The reasons for what is allowed, by digest."""
    return {entry["sha256"]: entry["why"] for entry in tomllib.loads(ALLOWED.read_text())["allowed"]}


def in_files(root: Path) -> Iterator[Finding]:
    """In the files that git tracks, as they are on disk."""
    for name in _git(root, "ls-files", "-z").split("\0"):
        path = root / name
        if name and path.is_file():
            yield from in_text(path.read_text(errors="replace"), name)


def in_history(root: Path) -> Iterator[Finding]:
    """In the lines that any commit of the branch added: a removed secret is still in every clone."""
    log = _git(root, "log", "-p", "--no-color", "--no-ext-diff", "--unified=0", "--format=commit %h", "HEAD")
    commit = name = ""
    added: list[str] = []
    for line in (*log.splitlines(), "commit "):
        if line.startswith(("commit ", "diff --git ")):
            yield from in_text("\n".join(added), f"{commit}:{name}")
            added = []
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("+++ "):
            name = line.removeprefix("+++ b/")
        elif line.startswith("+"):
            added.append(line[1:])


def in_text(text: str, where: str) -> Iterator[Finding]:
    """In one text. Detectors read it whole, which is a hundred times faster than line by line."""
    for detector in detectors():
        for secret in set(detector.analyze_string(text)):
            for whole in _whole(detector, text, secret):
                yield Finding(where, detector.secret_type, hashlib.sha256(whole.encode()).hexdigest()[:16])


def detectors() -> Iterable[RegexBasedDetector]:
    """All that know a shape."""
    plugins: dict[str, type] = get_mapping_from_secret_type_to_class()
    known = [kind for kind in plugins.values() if kind.__name__ not in GUESSES]
    return (*(kind() for kind in known if issubclass(kind, RegexBasedDetector)), OctantKeyDetector())


def _whole(detector: RegexBasedDetector, text: str, secret: str) -> set[str]:
    """The whole finding: some detectors yield a part only, such as `ghp` of a token or the first line of a key."""
    found = [match for pattern in detector.denylist for match in pattern.finditer(text) if secret in match[0]]
    more = 200 if isinstance(detector, PrivateKeyDetector) else 0
    return {text[match.start() : match.end() + more] for match in found}


def _git(root: Path, *arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)  # noqa: S607 - git as it is installed
    return run.stdout.decode(errors="replace")
