"""One user's data over all rooms: forgotten, or handed out. Reads what each room says of its tables, knows none of them."""
