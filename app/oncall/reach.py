"""What stops leave of the routes of a release: which models still answer each. Pure."""

from collections.abc import Collection, Iterable

from app.domain.routes import Route, Target
from app.oncall.scopes import Subject


def left(route: Route, stopped: Collection[Subject]) -> tuple[Target, ...]:
    """The targets that these stops leave; none where they refuse the alias, or everything."""
    if ("all", "") in stopped or ("model", route.name) in stopped:
        return ()
    return tuple(
        target
        for target in route.targets
        if ("provider", target.provider) not in stopped and ("model", f"{target.provider}/{target.model}") not in stopped
    )


def unanswered(routes: Iterable[Route], stopped: Collection[Subject]) -> list[str]:
    """The names of routes that no model answers while these stops hold, in order."""
    return sorted(route.name for route in routes if not left(route, stopped))


def of_one_provider(routes: Iterable[Route]) -> dict[str, list[str]]:
    """Providers that alone answer a route, each with the names of those routes: nothing falls back while it is away."""
    found: dict[str, list[str]] = {}
    for route in routes:
        if len(providers := {target.provider for target in route.targets}) == 1:
            found.setdefault(providers.pop(), []).append(route.name)
    return {provider: sorted(names) for provider, names in sorted(found.items())}
