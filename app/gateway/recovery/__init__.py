"""AXIS 3: what happens when a provider misbehaves: retry in fallback in repair, under one deadline. The only user of tenacity."""
