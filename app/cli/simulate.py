"""`octant simulate …`: break the provider simulator of the running demo, and mend it again."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

import typer

from app.cli.asking import asked, reason_in
from app.cli.audited import changes

app = typer.Typer(no_args_is_help=True, help="Break the simulated providers of the running demo, and mend them.")

CONTROL_SECONDS = 5.0


class Provider(StrEnum):
    """A provider that the simulator stands in for, or all of them."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    ALL = "all"


ProviderName = Annotated[Provider, typer.Argument(help="Which provider breaks.")]
Duration = Annotated[
    float | None, typer.Option("--for", min=0.1, help="Seconds until it works again; until `clear` if left out.")
]
Share = Annotated[float, typer.Option(min=0.01, max=1, help="Share of the requests that it happens to.")]


@app.command("outage")
@changes("simulate outage")
def outage(provider: ProviderName, duration: Duration = None) -> None:
    """Refuse every connection, as a vendor that is down."""
    _put(provider, {"kind": "refuse"}, duration)


@app.command("slow")
@changes("simulate slow")
def slow(
    provider: ProviderName,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds that every answer waits.")] = 5.0,
    share: Share = 1.0,
    duration: Duration = None,
) -> None:
    """Answer late."""
    _put(provider, {"kind": "latency", "milliseconds": seconds * 1000, "probability": share}, duration)


@app.command("errors")
@changes("simulate errors")
def errors(
    provider: ProviderName,
    status: Annotated[int, typer.Option(min=400, max=599, help="HTTP status of the answers; 429 is a rate limit.")] = 500,
    share: Share = 1.0,
    duration: Duration = None,
) -> None:
    """Answer with an error."""
    _put(provider, {"kind": "status", "status": status, "probability": share}, duration)


@app.command("malformed")
@changes("simulate malformed")
def malformed(provider: ProviderName, share: Share = 1.0, duration: Duration = None) -> None:
    """Answer with output that does not fit the requested schema."""
    _put(provider, {"kind": "schema_violation", "probability": share}, duration)


@app.command("drift")
@changes("simulate drift")
def drift(provider: ProviderName, share: Share = 1.0, duration: Duration = None) -> None:
    """Answer well, but with wrong figures, as a model that was changed under the same name."""
    _put(provider, {"kind": "wrong_figures", "probability": share}, duration)


@app.command("list")
def list_faults() -> None:
    """List the faults in force."""
    _show(_control("GET"))


@app.command("clear")
@changes("simulate clear")
def clear() -> None:
    """Remove every fault: all simulated providers work again."""
    _show(_control("DELETE"))


def _put(provider: Provider, fault: Mapping[str, Any], duration: float | None) -> None:
    name = "*" if provider is Provider.ALL else provider.value
    schedule = {} if duration is None else {"for_seconds": duration}
    _show(_control("PUT", {"provider": name, **fault, **schedule}, needs=provider))


def _show(faults: list[dict[str, Any]]) -> None:
    for fault in faults:
        who = "all providers" if fault["provider"] == "*" else fault["provider"]
        share = "" if fault["probability"] == 1 else f", {fault['probability']:.0%} of requests"
        ends = "" if fault["for_seconds"] is None else f", for {fault['for_seconds']:g} seconds"
        print(f"{who}: {_describe(fault)}{share}{ends}")
    if not faults:
        print("No faults: the simulated providers work.")


def _describe(fault: Mapping[str, Any]) -> str:
    """Describe a fault that these commands make; any other by its name."""
    if fault["kind"] == "refuse":
        return "outage, connections are refused"
    if fault["kind"] == "latency":
        return f"slow, answers wait {fault['milliseconds'] / 1000:g} seconds"
    if fault["kind"] == "status":
        return f"errors, answers have status {fault['status']}"
    words = {
        "schema_violation": "malformed, answers do not fit their schema",
        "wrong_figures": "drift, answers have wrong figures",
    }
    return words.get(str(fault["kind"]), str(fault["kind"]))


def _control(method: str, fault: Mapping[str, Any] | None = None, *, needs: Provider = Provider.ALL) -> list[dict[str, Any]]:
    """Send a request to the simulator's control port. Raises Misconfigured where no demo runs, or no simulator in it."""
    from app.cli.stores import running_demo
    from app.domain.errors import Misconfigured
    from app.settings import load

    settings = load()
    if settings.environment != "development":
        raise Misconfigured("Only the simulator of a demo can be broken, and a demo runs in development alone.")
    demo = running_demo(settings)
    if demo.control is None or (needs is not Provider.ALL and needs not in demo.simulated):
        real = "the providers are real" if demo.control is None else f"{needs} is real"
        raise Misconfigured(f"In the demo at {demo.url} {real}: only a simulated provider can be broken.")
    if method != "GET":
        if not demo.same_secret(settings):
            raise Misconfigured(f"The demo in {demo.folder} runs with another OCTANT_SECRET_KEY: set the same one here.")
        demo.hand_over_settings()  # its stores keep the operators' log, which names who broke it
    return faults_of(f"The simulator of the demo at {demo.url}", f"127.0.0.1:{demo.control}", method, fault)


def faults_of(what: str, at: str, method: str, fault: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Send a request. Returns the faults in force then. Raises Misconfigured for a refusal."""
    from app.domain.errors import Misconfigured

    status, body = asked(what, at, method, "/faults", fault, within=CONTROL_SECONDS)
    if status != HTTPStatus.OK or not isinstance(body, list):
        raise Misconfigured(f"The simulator refuses that: {reason_in(body)}")
    faults: list[dict[str, Any]] = body
    return faults
