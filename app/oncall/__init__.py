"""AXIS 6: the people on call, and the switch that stops everything."""
