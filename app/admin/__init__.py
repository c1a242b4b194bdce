"""What operators use: the admin API. It reads the rooms and is read by none."""
