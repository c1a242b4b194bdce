"""What every request passes: identity, limits, request ids, deadline, errors, SSE, health. No product lives here."""
