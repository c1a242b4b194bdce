"""Signing in to the console with OpenID Connect: settings, the provider, its tokens, and sign-ins that have begun (S8)."""
