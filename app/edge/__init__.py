"""What every request passes on its way in and out: identity, limits, request ids, deadline, errors, SSE, health. No product here."""
