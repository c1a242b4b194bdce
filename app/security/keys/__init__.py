"""Who may call: tenants, their API keys, and our own keys at the providers."""
