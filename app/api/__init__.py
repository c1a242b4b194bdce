"""The service's own API: both vendors' APIs, jobs and feedback. No product lives here."""
