"""Game days: a fault under a lease on a service of its own, judged by probes, and the runbook's commands followed literally."""
