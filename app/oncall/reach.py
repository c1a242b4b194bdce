"""What stops leave of the routes of a release: which models still answer each. Pure."""

from collections.abc import Collection, Iterable

from app.domain.routes import Route, Target
from app.oncall.scopes import Subject

EVERYTHING: Subject = ("all", "")


def passed_over(target: Target, stopped: Collection[Subject]) -> bool:
    """Whether these stops keep a provider's model from being called."""
    return ("provider", target.provider) in stopped or ("model", f"{target.provider}/{target.model}") in stopped


def is_stopped(target: Target, stopped: Collection[Subject]) -> bool:
    """The same, also where everything is stopped."""
    return EVERYTHING in stopped or passed_over(target, stopped)


def left(route: Route, stopped: Collection[Subject]) -> tuple[Target, ...]:
    """The targets that these stops leave; none where they refuse the alias, or everything."""
    if EVERYTHING in stopped or ("model", route.name) in stopped:
        return ()
    return tuple(target for target in route.targets if not passed_over(target, stopped))


def unanswered(routes: Iterable[Route], stopped: Collection[Subject]) -> list[str]:
    """The names of routes that no model answers while these stops hold, in order."""
    return sorted(route.name for route in routes if not left(route, stopped))


def newly_unanswered(routes: Collection[Route], new: Subject, stopped: Collection[Subject]) -> list[str]:
    """Those that no model answers once ``new`` is stopped, too, and that one answers now."""
    before = unanswered(routes, stopped)
    return [name for name in unanswered(routes, {*stopped, new}) if name not in before]


def of_one_provider(routes: Iterable[Route]) -> dict[str, list[str]]:
    """Providers that alone answer a route, each with the names of those routes: nothing falls back while it is away."""
    found: dict[str, list[str]] = {}
    for route in routes:
        if len(providers := {target.provider for target in route.targets}) == 1:
            found.setdefault(providers.pop(), []).append(route.name)
    return {provider: sorted(names) for provider, names in sorted(found.items())}
