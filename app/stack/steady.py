"""The demo's steady callers: a sample every few seconds, so that its pages show what happens to calls now."""

import http.client
import itertools
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from app.stack.traffic import post, samples

EVERY = 4.0  # seconds: an outage is seen within half a minute, and the load is no load
MOST = 1_800  # of one start: two hours, and less than the caps of the demo's tenant and of each of its users
SPENT = "budget_exceeded"
END_SECONDS = 1.0  # for the sample under way, when the demo stops


@contextmanager
def steady(url: str, key: str, tell: Callable[[str], None]) -> Generator[None, None, None]:
    """Send the samples that are answered, again and again, until the end of the block.

    It ends by itself, and says so, after `MOST` samples or when a cap refuses one: a demo left alone must not run into its caps.
    A sample that fails ends nothing: an outage is there to be watched.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_send, args=(url, key, tell, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(END_SECONDS)


def _send(url: str, key: str, tell: Callable[[str], None], ended: threading.Event) -> None:
    answered = [sample for sample in samples() if sample.status == http.HTTPStatus.OK and not sample.tenant]
    for sample in itertools.islice(itertools.cycle(answered), MOST):
        if ended.wait(EVERY):
            return
        try:
            status, _, body = post(url, sample.path, json.dumps(sample.body).encode(), key)
        except (OSError, http.client.HTTPException):
            continue  # the service stops, or is being replaced
        if status == http.HTTPStatus.TOO_MANY_REQUESTS and SPENT in body:
            break
    tell("The steady sample traffic has ended: a cap or two hours are reached. The next start sends it again.")
