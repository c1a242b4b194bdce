"""AXIS 2, what is seen from outside: metrics, spans and logs. The only user of OpenTelemetry and prometheus_client."""
