"""Access: tenants, their API keys, and our own keys at the providers."""
