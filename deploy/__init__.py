"""What runs around the service: image, rules, dashboards; and the code that makes them."""
