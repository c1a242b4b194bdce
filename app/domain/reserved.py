"""Names and numbers that are reserved for examples: no host, mailbox or phone of a real person has one."""

import re

# RFC 2606 and RFC 6761.
RESERVED_TOP_LEVEL = frozenset({"invalid", "example", "test"})
RESERVED_DOMAINS = frozenset({"example.com", "example.net", "example.org"})
# Numbers that the authorities of North America (the exchange 555-01) and Britain keep free for fiction.
RESERVED_PHONES = re.compile(r"\+1(\d{3})?55501\d\d|\+44(7700900|1632960|2079460)\d{3}")


def is_reserved(host: str) -> bool:
    """Whether a host is under a name that is reserved for examples (RFC 2606, RFC 6761)."""
    labels = host.lower().rstrip(".").split(".")
    return labels[-1] in RESERVED_TOP_LEVEL or ".".join(labels[-2:]) in RESERVED_DOMAINS


def is_reserved_phone(number: str) -> bool:
    """Whether a phone number, as it is dialled, is reserved for examples."""
    return RESERVED_PHONES.fullmatch(number) is not None
