"""The kill switch as actions: stop everything or one part of it, and resume. Each says in numbers what it stops."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from app.audit.recent import LOOK_BACK, recent_calls
from app.budget.standing import users_by_pseudonym
from app.console import formats
from app.console.acting import Act, Asked, Choices
from app.console.console import Console, link
from app.console.running import number_running
from app.console.sessions import Session
from app.domain.errors import InvalidRequest, NotFound
from app.domain.routes import Prompt, Route
from app.oncall.held import ENVIRONMENT, FILE, Stop, command_words, holding, named, subject_of, words_of
from app.oncall.reach import left, newly_unanswered, unanswered
from app.oncall.scopes import SCOPES, USER, Subject, check_name
from app.oncall.stops import public_message
from app.releases.manifest import Release
from app.security.redaction.pseudonyms import pseudonym_of

BACK = "/console/releases?tab=stops"
NAMED = tuple(scope for scope in SCOPES if scope != "all")
MOST_SHOWN = 12
FIXED = (ENVIRONMENT, FILE)  # these stops hold until a restart, or until a file is gone

Values = Mapping[str, str]


def actions(console: Console) -> Iterator[Act]:
    """The actions: one for each scope, as the commands are."""
    for scope in SCOPES:
        own = () if scope == "all" else ("tenant", "user") if scope == USER else ("name",)
        more = ("message",) if scope == "tool" else ("message", "in_flight")  # a tool has ended before its model goes on
        yield Act(
            name=f"kill-{scope}", fields=(*own, *more), optional=more, ask=partial(_ask, console, scope),
            do=partial(_stop, console, scope), back=BACK, label="Stop everything" if scope == "all" else f"Stop {scope}",
            choices=partial(_choices, console, scope),
        )  # fmt: skip
    yield Act(
        name="resume", fields=("scope", "name", "at"), optional=("name", "at"), ask=partial(_ask_resume, console, ""),
        do=partial(_resume, console, ""), back=BACK, positional=("scope", "name"), choices=partial(_stopped, console),
    )  # fmt: skip
    yield Act(
        name="resume-user", fields=("tenant", "user", "at"), optional=("at",), ask=partial(_ask_resume, console, USER),
        do=partial(_resume, console, USER), back=BACK, positional=("tenant", "user"),
    )  # fmt: skip


async def _choices(console: Console, scope: str, _: Values) -> Choices:
    """The names that the scope can stop, as far as they are known."""
    if scope == USER:
        return {"tenant": [(name, name) for name in await _names(console, "tenant") or ()]}
    return {"name": [(name, name) for name in await _names(console, scope) or ()]}


async def _stopped(console: Console, values: Values) -> Choices:
    """The stops that can be ended, of the scope that is known already."""
    stops = [stop for stop in await console.parts.switch.status() if stop.by not in FIXED]
    scopes = sorted({stop.scope for stop in stops})
    names = sorted({stop.name for stop in stops if stop.name and stop.scope == values.get("scope", stop.scope)})
    return {"scope": [(one, one) for one in scopes], "name": [(one, one) for one in names]}


def names_of(scope: str, release: Release | None, *, providers: Collection[str], products: Collection[str]) -> list[str]:
    """The names of a scope that are known without a store: of the live release and of the settings."""
    if scope == "provider":
        return sorted(providers)
    if scope == "feature":
        return sorted(products)
    if release is None:
        return []
    found = {
        "model": release.models,
        "prompt": set(release.prompts),
        "tool": {tool for prompt in release.prompts.values() for tool in prompt.tools},
    }
    return sorted(found.get(scope, ()))


def effect_of(scope: str, name: str, release: Release | None, stopped: Collection[Subject] = ()) -> str:
    """What a stop does to the live release's models and prompts, beside what is ``stopped``, in numbers. Pure."""
    if release is None:
        return "No release is known here, so no call is answered anyway."
    routes = release.all_routes
    prompts = release.prompts.values()
    if scope == "all":
        return (
            f"It refuses every call, side effect, job and webhook: all {_routes(len(routes))} and all {_prompts(len(prompts))}."
        )
    if scope == "tenant":
        return "It refuses every call, side effect, job and webhook of this tenant; other tenants notice nothing."
    if scope == USER:
        whose = f"other users of {name.partition('/')[0]} notice nothing"
        return f"It refuses every call, side effect, job and webhook of this user; {whose}."
    if scope == "provider" or (scope == "model" and "/" in name):
        return _passed_over(routes, scope, name, stopped)
    return _refused(scope, name, list(prompts))


def _refused(scope: str, name: str, prompts: Collection[Prompt]) -> str:
    """The effect of refusing an alias, a prompt, a product or a tool."""
    if scope == "model":
        by_it = sum(prompt.route == name for prompt in prompts)
        goes = "goes" if by_it == 1 else "go"
        return f"It refuses calls that name the model {name}. {_prompts(by_it)} that it answers {goes} on: stop those by name."
    if scope == "prompt":
        return f"It stops 1 of {_prompts(len(prompts))}: every call with {name} is refused."
    if scope == "feature":
        of_it = sum(prompt.product == name.partition(".")[0] for prompt in prompts)
        return f"It refuses the calls and side effects of {name}, which has {_prompts(of_it)}; other products notice nothing."
    using = sum(name in prompt.tools for prompt in prompts)
    return f"It keeps the tool {name} from running for {_prompts(using)}: the model has to answer without it."


def _passed_over(routes: Collection[Route], scope: str, name: str, stopped: Collection[Subject]) -> str:
    """The effect of passing over a provider, or one of its models, beside what is ``stopped``."""
    new = (scope, name)
    using = [route for route in routes if len(left(route, {new})) < len(route.targets)]
    if not using:
        return "No route of the live release uses it."
    before, lost, alone = unanswered(using, stopped), newly_unanswered(using, new, stopped), unanswered(using, {new})
    last, ended = [one for one in lost if one not in alone], [one for one in lost if one in alone]
    back = len(using) - len(before) - len(lost)
    said = [
        *([f"It stops {_routes(len(last))} ({', '.join(last)}): the other models are stopped already"] if last else []),
        *([f"It stops {_routes(len(ended))} ({', '.join(ended)}), which no other model answers"] if ended else []),
    ] or ["No route stops"]
    said += [f"{_routes(back)} {'falls' if back == 1 else 'fall'} back to the next model"] if back else []
    said += [f"no model answers {', '.join(before)} as it is"] if before else []
    others = len(routes) - len(using)
    rest = f" {_routes(others)} {'does' if others == 1 else 'do'} not use it." if others else ""
    return f"{'; '.join(said)}.{rest}"


def _routes(number: int) -> str:
    return formats.number(number, "route")


def _prompts(number: int) -> str:
    return formats.number(number, "prompt")


def live_of(console: Console) -> Release | None:
    """The live release as this worker knows it; None where it knows none."""
    return console.parts.releases.current if console.parts.releases.known else None


def harm_of(scope: str, name: str, release: Release | None, stopped: Collection[Subject]) -> list[str]:
    """The routes that nothing answers once this is stopped, too, in a sentence; none where others go on. Pure."""
    if release is None or scope not in ("provider", "model"):
        return []
    lost = newly_unanswered(release.all_routes, (scope, name), stopped)
    to = "it" if len(lost) == 1 else "them"
    return [f"Then no model will answer {formats.listed(lost)}: every call to {to} will be refused with 503."] if lost else []


async def _ask(console: Console, scope: str, values: Values) -> Asked:
    name = _name(scope, values)
    check_name(scope, name)
    await _check_known(console, scope, name)
    message = _message(console, values)
    ends = bool(values.get("in_flight"))
    running = await number_running(console)
    ending = f"Calls under way will end with an error, too ({running})." if ends else f"Calls under way may end ({running})."
    release, stopped = live_of(console), console.parts.switch.stopped
    does = effect_of(scope, name, release, stopped)
    lately = await _lately(console, scope, name)
    effect = (
        f"Nothing is stopped yet. After the button below: {does[0].lower()}{does[1:]} {lately}{ending if scope != 'tool' else ''}"
    )
    reads = f" Callers will read: {message}" if message else ""
    options = (" --in-flight" if ends else "") + (f" --message {shlex.quote(message)}" if message else "")
    words = command_words(scope, name)
    return Asked(
        title=f"Stop {_the(scope, name)}",
        effect=f"{effect}{reads} Every worker will follow within 2 s.", command=f'octant kill {words} --reason "…"{options}',
        undo=f"octant resume {words}", undo_at=_resume_at(scope, name), button="Stop",
        harm=harm_of(scope, name, release, stopped),
    )  # fmt: skip


def _name(scope: str, values: Values) -> str:
    """The name in a form: a user's is its tenant's and its own."""
    return f"{values['tenant']}/{values['user']}" if scope == USER and "tenant" in values else values.get("name", "")


def _the(scope: str, name: str) -> str:
    return words_of(scope, name) if scope in ("all", USER) else f"the {scope} {name}"


def _resume_at(scope: str, name: str) -> str:
    """The page that asks to end this stop."""
    tenant, _, user = name.partition("/")
    if scope == USER:
        return link("/console/do/resume-user", {"tenant": tenant, "user": user})
    return link("/console/do/resume", {"scope": scope, "name": name})


async def _lately(console: Console, scope: str, name: str) -> str:
    """The calls of the last minutes that it would have met."""
    tenant, _, user = name.partition("/")
    recorded = f"{tenant}/{console.parts.redactor.redact(user, tenant=tenant)}" if scope == USER else name
    known = await console.known.read(("recent", scope, name), recent_calls(console.parts.engine, scope, recorded))
    if known.value is None:
        return ""
    minutes = int(LOOK_BACK.total_seconds() // 60)
    calls, of = formats.number(known.value.calls, "call"), formats.number(known.value.tenants, "tenant")
    return f"In the last {minutes} minutes it would have met {calls} of {of}. "


async def _check_known(console: Console, scope: str, name: str) -> None:
    """Refuse a name that is not known: a slip of the pen must not look like a stop. Raises NotFound."""
    if scope == USER:
        scope, name = "tenant", name.partition("/")[0]
    known = None if scope == "all" else await _names(console, scope)
    if known is None:
        return
    if name not in known and not (scope == "feature" and name.partition(".")[0] in known):
        shown = sorted(known)[:MOST_SHOWN] + ["…"] * (len(known) > MOST_SHOWN)
        raise NotFound(f"No {scope} {name!r}. Known: {', '.join(shown) or 'none'}.")


async def _names(console: Console, scope: str) -> Collection[str] | None:
    """The names of a scope; None for tenants while Postgres does not answer: the switch works without it."""
    if scope != "tenant":
        return names_of(scope, live_of(console), providers=console.parts.providers, products=console.parts.products)
    read = await console.known.read("tenants", console.parts.keys.list_tenants())
    return None if read.value is None else [tenant.id for tenant in read.value]


def _message(console: Console, values: Values) -> str:
    return public_message(values.get("message", ""), lambda text: console.parts.redactor.redact(text, tenant=""))


async def _stop(console: Console, scope: str, values: Values, reason: str, session: Session) -> str:
    name = _name(scope, values)
    missing = await console.parts.switch.stop(
        scope, name, by=session.actor, reason=reason, message=_message(console, values), in_flight=bool(values.get("in_flight"))
    )
    return f"{_shown(scope, name)} is stopped; every worker knows within 2 seconds.{_missing(missing)}"


async def with_names(console: Console, stops: Sequence[Stop]) -> Sequence[Stop]:
    """The same, with users by their ids where the ledger has them."""
    tenants = sorted({stop.name.partition("/")[0] for stop in stops if stop.scope == USER})
    if not tenants:
        return stops
    read = users_by_pseudonym(console.parts.engine, tenants, partial(pseudonym_of, console.parts.redactor))
    return named(stops, (await console.known.read(("users by pseudonym", *tenants), read)).value or {})


def _shown(scope: str, name: str) -> str:
    return subject_of(scope, name) if name else "Everything"


async def _ask_resume(console: Console, of: str, values: Values) -> Asked:
    scope = of or values["scope"]
    name = _name(scope, values)
    check_name(scope, name)
    held = await console.parts.switch.status()
    wanted = scope, console.parts.switch.stored(scope, name)
    stop = {(stop.scope, stop.name): stop for stop in held if stop.by not in FIXED}.get(wanted)
    if stop is None:
        raise InvalidRequest(f"{_shown(scope, name)} is not stopped by an operator. {holding(held)}".rstrip())
    if values.get("at") and values["at"] != stop.at:  # its page was about an earlier stop, which this one may have taken over
        raise InvalidRequest(f"{_shown(scope, name)} was stopped anew by {stop.by} at {stop.at}: {stop.reason}")
    words = command_words(scope, name)
    return Asked(
        title=f"Resume {_the(scope, name)}",
        effect=f"Stopped by {stop.by} at {stop.at}: {stop.reason}. Its calls will be answered again, on every worker within 2 s.",
        command=f"octant resume {words}", undo=f'octant kill {words} --reason "…"',
        undo_at=_stop_at(scope, name), button="Resume", strong=False, settled={"at": stop.at},
        reason=f"over: {stop.reason}",
    )  # fmt: skip


def _stop_at(scope: str, name: str) -> str:
    """The page that asks to stop this."""
    tenant, _, user = name.partition("/")
    return link(f"/console/do/kill-{scope}", {"tenant": tenant, "user": user} if scope == USER else {"name": name})


async def _resume(console: Console, of: str, values: Values, reason: str, session: Session) -> str:
    scope = of or values["scope"]
    name = _name(scope, values)
    missing = await console.parts.switch.resume(scope, name, by=session.actor, reason=reason)
    left = holding(await with_names(console, await console.parts.switch.status()))
    return f"{_shown(scope, name)} is released; every worker knows within 2 seconds. {left}".rstrip() + _missing(missing)


def _missing(stores: frozenset[str]) -> str:
    return f" {' and '.join(sorted(stores))} does not answer: the workers carry it there when it does." if stores else ""
