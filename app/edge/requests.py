"""A request's identity and deadline, known before its body is read; and its parsed body."""

import re
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.domain.calls import Deadline, Identity
from app.domain.errors import Forbidden, InvalidRequest
from app.domain.quick import quick, replace
from app.domain.user_ids import check_user
from app.domain.whole_numbers import whole_number
from app.edge.identity import authenticated
from app.edge.parts import parts_of
from app.edge.violations import is_missing, meant, rule, unparsable

M = TypeVar("M", bound=BaseModel)

DEADLINE_HEADER = "octant-deadline-ms"
FIELD = re.compile("[A-Za-z_]{1,64}")


@quick
@dataclass(frozen=True, slots=True)
class CallContext:
    """One request's identity and deadline."""

    request_id: str
    identity: Identity
    deadline: Deadline

    def identity_for(self, user: str | None) -> Identity:
        """The identity with the end user that the tenant names.

        Raises InvalidRequest for an invalid name, Forbidden if the key belongs to another user.
        """
        if not user or user == self.identity.user:
            return self.identity
        check_user(user)
        if self.identity.user:
            raise Forbidden("This API key is bound to one user and cannot act for another.")
        return replace(self.identity, user=user)


async def call_context(request: Request, identity: Annotated[Identity, Depends(authenticated)]) -> CallContext:
    """Collect a request's identity and deadline."""
    return CallContext(
        request_id=cast("str", request.scope["octant.request_id"]),
        identity=identity,
        deadline=_deadline(request),
    )


def _deadline(request: Request) -> Deadline:
    """The service's deadline, or the caller's if that is shorter. A caller's own bounds its stream too."""
    ours = parts_of(request).request_deadline
    sent = request.headers.get(DEADLINE_HEADER)
    if sent is None:
        return Deadline.after(ours)
    milliseconds = whole_number(sent, digits=19)
    if milliseconds is None or not 0 < milliseconds < 10**9:
        raise InvalidRequest(f"{DEADLINE_HEADER} must be a whole number of milliseconds above zero.", param=DEADLINE_HEADER)
    chosen = milliseconds / 1000
    return Deadline.after(min(ours, chosen), chosen)


def parsed(model: type[M], body: bytes) -> M:
    """Read a body. Raises InvalidRequest naming the field and the rule, never the value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        location, found = meant(error)
        if refusal := unparsable(found):
            raise refusal from None
        steps = [str(step) for step in location]
        unknown = found[0]["type"] == "extra_forbidden"
        if unknown and not FIELD.fullmatch(steps[-1]):
            steps.pop()  # the caller's own name for a field is repeated only if it is a name
        param = ".".join(steps) or "body"
        if is_missing(found):
            raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param) from None
        wrong = "the field is not known" if unknown else rule(found)
        raise InvalidRequest(f"Invalid value for '{param}': {wrong}.", param=param) from None
