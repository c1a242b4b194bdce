"""AXIS 6: the people on call (`rota`), paging, incidents, and the switch that stops everything."""
