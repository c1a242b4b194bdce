"""The injection gate's line in the log of rehearsals: the sums, and how each way ended (S2)."""

from app.features.feature import Attack
from app.stack.commit import commit
from app.stack.drill import Harm
from evals.injection.__main__ import logged


def harm(way: str, *done: str, tried: bool = True) -> Harm:
    return Harm(Attack(0, way, "x", stream=False), list(done), tried=tried, seconds=0.5)


def test_the_log_has_the_sums_a_step_for_each_way_and_the_screens() -> None:
    harms = [harm("direct"), harm("direct", "canary out"), harm("tool", tried=False)]
    line = logged(harms, ("direct", "tool"), "Screens flagged 86.1% of direct attacks", kept=False)
    assert line.note == (
        "1 of 3 attacks got through, though the simulated model obeyed 2. Screens flagged 86.1% of direct attacks"
    )
    assert [(step.name, step.kept, step.seconds, step.note) for step in line.steps] == [
        ("by way of direct", False, 0.5, "1 of 2 got through, though the model obeyed 2"),
        ("by way of tool", True, 0.5, "0 of 1 got through, though the model obeyed 0"),
    ]
    assert (line.verdict, line.command, line.code) == ("not kept", "make injection ARGS=--log", commit())
