"""The catalogue of metrics knows every reason of a candidate."""

from app.telemetry.catalogue import CATALOGUE
from evals.online.candidates import REASONS


def test_each_reason_is_a_value_of_the_metrics_label() -> None:
    """Another one would count as `other`, and raise an alert on a label out of bounds."""
    (declared,) = (one for one in CATALOGUE if one.attribute == "eval_candidates")
    assert declared.bounded[0].values == frozenset(REASONS)
