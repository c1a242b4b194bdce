"""The on-call rotation as data: reading, shifts, problems, differences, calendars, reports, covers. Pages are sent elsewhere."""
