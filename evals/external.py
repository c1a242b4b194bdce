"""Third-party cases (E1): read from installed packages at run time, never copied into the repository.

A loader of a suite yields cases from a package and says where they come from and under which licence. They are run and scored
like the suite's own cases; they are not pinned, since a package's new version changes them.
"""

from evals.cases import InvalidSuite
from evals.suite import External, Suite


def load(suite: Suite, name: str) -> External:
    """Load the cases of a package.

    Raises InvalidSuite: a package that is not installed is no suite without findings.
    """
    if name not in suite.external:
        raise InvalidSuite(f"no external cases {name!r} for {suite.name}; known: {', '.join(sorted(suite.external)) or 'none'}")
    try:
        found = suite.external[name]()
    except ImportError as error:
        raise InvalidSuite(f"{name}: its package is not installed: {error.name}. Run `make attacks`.") from error
    if not found.cases or not found.source.strip() or not found.licence.strip():
        raise InvalidSuite(f"{name}: no cases, or without source or licence")
    return found
