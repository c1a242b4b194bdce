"""The runbook's pages as data: read, searched, and written as one static page. Files only: no store, no service, no settings."""
