"""Image, rules and dashboards around the service, and the code that makes them."""
