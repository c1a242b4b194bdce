"""AXIS 1: what good answers are, measured on every change. Sits above the service, which never imports it."""
