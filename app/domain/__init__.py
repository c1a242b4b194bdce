"""The types that every room shares: money, messages, calls, replies, routes, records, errors. No I/O may live here."""
