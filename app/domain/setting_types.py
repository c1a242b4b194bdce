"""Types of settings that several rooms have."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app.domain.addresses import web_address

LONGEST = 315_360_000.0  # ten years of seconds: more is a typing error, and neither a timer nor a timestamp holds infinity
Seconds = Annotated[float, Field(gt=0, le=LONGEST)]
SecondsOrNone = Annotated[float, Field(ge=0, le=LONGEST)]
WebAddress = Annotated[str, AfterValidator(web_address)]
