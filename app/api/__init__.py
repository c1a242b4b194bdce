"""What every fork keeps: both vendors' APIs, jobs and feedback. No product lives here."""
