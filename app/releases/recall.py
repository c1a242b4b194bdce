"""An index is searched for labelled queries before a release may pin it (B6): one that finds too little is never live."""

from app.domain.errors import Misconfigured
from app.releases.manifest import Places, Release


def check_recall(release: Release, places: Places) -> None:
    """Raise Misconfigured, with every shortfall, for a release whose indexes do not find what they have to."""
    problems = [
        f"indexes.{name} = {version!r}: {problem}"
        for name, version in release.indexes.items()
        if name in places.recall_problems
        for problem in places.recall_problems[name](places.index_path(version))
    ]
    if problems:
        raise Misconfigured(f"Release {release.id} cannot be live:\n  " + "\n  ".join(problems))
