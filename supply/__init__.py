"""What the service is made of and what lies in its repository: advisories, licences, bill of materials, secrets (S9)."""
