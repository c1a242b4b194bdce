"""One folder for each product's suite: its cases, scorers, thresholds and baseline. `evals.discovery` finds them."""
