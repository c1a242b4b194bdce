"""Where the service listens, and what its `/readyz` says, for an operator who does not know its port."""

import http.client
import json

LONGEST = 3.0  # seconds; the service itself gives its parts two
MOST_BYTES = 10_000
UNREADY = 503
OF_STORES = ("postgres", "valkey", "budget")  # checks that fail with a store
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def readiness(host: str, port: int) -> tuple[str, str, bool]:
    """The service's address on this machine, a sentence on it, and whether it says that it is not ready.

    Without an answer, which it may give on another machine, the sentence says so. Raises nothing.
    """
    host = EVERY_ADDRESS.get(host, host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=LONGEST)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        status, body = answer.status, answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException):
        where = "it is down, or runs on another machine or port (OCTANT_HOST, OCTANT_PORT)"
        return url, f"nothing answers there: {where}", False
    finally:
        connection.close()
    return url, f"/readyz answers {status}{_parts(body)}", status == UNREADY


def _parts(body: bytes) -> str:
    """The parts that are not well; nothing where another program answers."""
    try:
        checks = json.loads(body)["checks"]
        bad = [f"{name} {state}" for name, state in checks.items() if state != "ok"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ", but not as this service does: another program listens there"
    why = "; `octant stores` says why" if any(checks.get(name, "ok") != "ok" for name in OF_STORES) else ""
    return f": {', '.join(bad)}{why}" if bad else ": ready"
