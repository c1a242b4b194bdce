"""AXIS 1: measures answers on every change. Sits above the service, which never imports it."""
