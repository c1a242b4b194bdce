"""AXIS 6: who is called, and the switch that stops everything."""
