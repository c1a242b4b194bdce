"""The worked example's suite: cases, scorers, thresholds, baseline, judge, and the reading of recorded calls."""
