"""The state of a session that our statements are written for, whatever the server, the database or the role sets by default.

psycopg reads timestamps in the form of ISO alone and fails on any other; money is counted under READ COMMITTED.
"""

ENCODING = {"client_encoding": "utf8"}  # an option of the connection: what follows may come too late for it
SESSION = (
    "SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
    "SET default_transaction_isolation = 'read committed'"
)
