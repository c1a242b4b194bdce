"""Signing in to the console with OpenID Connect: the provider, its tokens, and sign-ins that have begun (S8)."""
