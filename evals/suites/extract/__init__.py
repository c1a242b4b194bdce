"""The small product's suite: five cases, one scorer, thresholds, baseline."""
