"""The readiness review: eight questions of a buyer, each answered from live data and stored evidence (X1). No web framework."""
