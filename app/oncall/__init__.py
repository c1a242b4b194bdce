"""AXES 6 and 8: the people on call (`rota`), paging, incidents, the switch that stops everything, the reader of the runbook."""
