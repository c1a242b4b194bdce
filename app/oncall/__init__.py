"""AXIS 6: the people on call, incidents, and the switch that stops everything."""
