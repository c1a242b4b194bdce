"""Incidents: their records, timelines, postmortem drafts, reports of pages, and the hand-over message of a shift."""
