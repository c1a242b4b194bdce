"""Actions of the trace page: mark a call as worth an eval case, and take the mark back."""

import shlex
from collections.abc import Iterator, Mapping

from app.audit import marks
from app.audit.actions import clean
from app.audit.query import get_call
from app.console.acting import Act, Asked
from app.console.console import Console, link
from app.console.sessions import Session
from app.domain.errors import InvalidRequest, NotFound

BACK = "/console/traces/{trace}"

Values = Mapping[str, str]


def actions(console: Console) -> Iterator[Act]:
    """The actions, as `python -m evals mark` and `unmark`."""
    engine = console.parts.engine

    async def ask_mark(values: Values) -> Asked:
        call = values["call"]
        found = await get_call(engine, call)
        if found is None:
            raise NotFound("There is no record of such a call.")
        if await marks.marks_of(engine, [call]):
            raise InvalidRequest("This call is marked already.", param="call")
        effect = (
            f"The next round of the evals, within a minute where they run, will make this question to {found['feature']} a"
            " candidate with your reason. A person then writes the case: `python -m evals promote`. Nothing will change for"
            " users."
        )
        return Asked(
            title="Make an eval case of this call", effect=effect,
            command=f'python -m evals mark {shlex.quote(call)} --reason "…"',
            undo=f"python -m evals unmark {shlex.quote(call)}", undo_at=link("/console/do/evals-unmark", values),
            button="Make a candidate", strong=False,
        )  # fmt: skip

    async def mark(values: Values, reason: str, _session: Session) -> str:
        await marks.mark(engine, values["call"], clean(reason, redactor=console.parts.redactor))
        return "The call is marked; the next round of the evals makes it a candidate."

    async def ask_unmark(values: Values) -> Asked:
        found = (await marks.marks_of(engine, [values["call"]])).get(values["call"])
        if found is None or found.read_at:
            raise InvalidRequest("No mark of this call waits for a round.", param="call")
        return Asked(
            title="Take the mark of this call back", effect="No round of the evals will make it a candidate.",
            command=f"python -m evals unmark {shlex.quote(values['call'])}", undo="mark it again",
            undo_at=link("/console/do/evals-mark", values), button="Take back", strong=False,
        )  # fmt: skip

    async def unmark(values: Values, _reason: str, _session: Session) -> str:
        await marks.unmark(engine, values["call"])
        return "The mark is taken back."

    yield Act(name="evals-mark", fields=("call", "trace"), ask=ask_mark, do=mark, back=BACK)
    yield Act(name="evals-unmark", fields=("call", "trace"), ask=ask_unmark, do=unmark, back=BACK)
