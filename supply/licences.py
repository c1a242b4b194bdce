"""Licences of everything that the lock installs, from the packages' own metadata, against a list of those we may ship with.

A package whose metadata names no licence, or one that is not on the list, fails until `licences.toml` says why it is allowed,
after a person has read its licence.
"""

import re
import tomllib
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import cast

from license_expression import ExpressionError, LicenseExpression, get_spdx_licensing

RULES = Path(__file__).parent / "licences.toml"
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
_SPDX = get_spdx_licensing()


def report(lock: Path) -> bool:
    """Check every locked package. Returns whether any licence is not allowed."""
    rules = tomllib.loads(RULES.read_text())
    installed = {normal(d.metadata["Name"]): d for d in distributions()}
    locked = {normal(name) for name in _NAME.findall(lock.read_text())}
    bad = 0
    for name in sorted(locked & installed.keys()):
        licence = licence_of(installed[name], rules["classifiers"])
        if name in rules["read"] or allowed(licence, frozenset(rules["allowed"])):
            continue
        bad += 1
        print(f"licences: {name}: {licence or 'none named'} is not on the list")
    absent = sorted(locked - installed.keys())
    print(f"licences: {len(locked & installed.keys())} packages checked, {bad} not allowed")
    if absent:
        print(f"licences: not installed here, so not checked: {', '.join(absent)}")
    return bool(bad) or not locked & installed.keys()


def licence_of(package: Distribution, classifiers: dict[str, str]) -> str:
    """An SPDX expression: the metadata's own, else what its classifiers mean, else its short text; empty where it has none."""
    about = cast("Message", package.metadata)  # which it is, although its protocol says less
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    named = [value for key, value in about.items() if key == "Classifier" and value.startswith("License ::")]
    meant = [classifiers[value] for value in named if value in classifiers]
    if meant:
        return " OR ".join(meant)
    text = str(about.get("License") or "").strip()
    return text if len(text) < 80 else ""


def allowed(expression: str, names: frozenset[str]) -> bool:
    """Whether an SPDX expression can be met with licences of ``names``: any side of an OR, all of an AND."""
    try:
        parsed = _SPDX.parse(expression, validate=True)
    except ExpressionError:
        return expression in names
    return parsed is not None and _met(parsed, names)


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _met(expression: LicenseExpression, names: frozenset[str]) -> bool:
    if isinstance(expression, _SPDX.OR):
        return any(_met(side, names) for side in expression.args)
    if isinstance(expression, _SPDX.AND):
        return all(_met(side, names) for side in expression.args)
    return str(expression) in names
