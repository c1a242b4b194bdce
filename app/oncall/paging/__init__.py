"""Paging: alerts in, pages out to the person on call, escalation, and a dead-man's switch in both directions (P3)."""
