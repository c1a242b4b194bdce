"""AXIS 6: the rotation of the people on call (`rota`), and the switch that stops everything."""
