"""AXES 6 and 8: the people on call, the switch that stops everything, and the reader of the runbook."""
