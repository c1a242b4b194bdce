"""The run as JUnit XML, which CI systems show case by case (E4).

A case that could not be judged is an error, not a failure.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evals.harness import Result
from evals.report import SuiteRun


def junit(runs: Sequence[SuiteRun], label: str) -> str:
    """One test suite for each failure mode of each suite."""
    root = Element("testsuites", name=f"evals ({_plain(label)})")
    for run in runs:
        _add(root, run)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _add(root: Element, run: SuiteRun) -> None:
    modes: dict[str, list[Result]] = {}
    for result in run.results:
        modes.setdefault(f"{run.suite}.{result.case.failure_mode}", []).append(result)
    for mode, found in sorted(modes.items()):
        failed, broken = sum(bool(r.findings) for r in found), sum(r.broken is not None for r in found)
        suite = SubElement(root, "testsuite", name=mode, tests=str(len(found)), failures=str(failed), errors=str(broken))
        for result in found:
            _case(suite, result)


def _case(suite: Element, result: Result) -> None:
    name = result.case.id + (f" #{result.trial + 1}" if result.trial else "")
    case = SubElement(suite, "testcase", name=name, classname=result.case.failure_mode, time=f"{result.trail.seconds:.3f}")
    if result.broken is not None:
        SubElement(case, "error", message=_plain(result.broken))
    elif result.findings:
        SubElement(case, "failure", message=_plain("; ".join(map(str, result.findings)))).text = _plain(result.case.criteria)


def _plain(text: str) -> str:
    """Without characters that XML 1.0 does not know: a model may write any."""
    return "".join(
        c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else " " for c in text
    )
