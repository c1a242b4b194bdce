"""Triggers of a rollback: the evidence of several rooms, put together and stored. Nothing here changes what is live."""
