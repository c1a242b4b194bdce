"""A description of one environment: its release, and who answers for each provider. Staging is compared with production's (B7).

Staging must call the same models, with the same prompts and index, as production, or a rehearsal there proves nothing. Where it
cannot, because it has no key or the simulator answers, the comparison says so. A profile holds no key.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from app.domain.errors import Misconfigured
from app.domain.strict import Strict
from app.releases.manifest import Manifest, parse


class ProviderProfile(Strict):
    """A provider as it is called. ``host``: of its address. ``simulated``: the simulator stands in for it."""

    kind: str
    host: str
    simulated: bool


class Profile(Strict):
    """``version``: of the code. ``manifest``: the live release's text, as it was activated."""

    environment: Literal["development", "staging", "production"]
    version: str
    manifest: str
    providers: dict[str, ProviderProfile]


def read(text: str, where: str) -> Profile:
    """Read what `octant release profile` wrote. Raises Misconfigured with every problem."""
    try:
        found = Profile.model_validate_json(text)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])) or 'the text'}: {e['msg']}" for e in error.errors(include_url=False))
        raise Misconfigured(f"{where} is no profile of `octant release profile`:\n  " + "\n  ".join(wrong)) from None
    parse(found.manifest, f"{where}: manifest")
    return found


def differences(here: Profile, other: Profile) -> list[str]:
    """What is not the same here as in the other environment, a sentence each."""
    own = parse(here.manifest, "the live release")
    theirs = parse(other.manifest, "the other release")
    found = [
        *_of_tables("model", own.routes, theirs.routes, other.environment),
        *_of_tables("embeddings", own.embeddings, theirs.embeddings, other.environment),
        *_of_tables("prompt", own.prompts, theirs.prompts, other.environment),
        *_of_tables("index", own.indexes, theirs.indexes, other.environment),
    ]
    if own.prices != theirs.prices:
        found.append(f"prices: {own.prices.file} here, {theirs.prices.file} in {other.environment}.")
    if here.version != other.version:
        found.append(f"code: {here.version} here, {other.version} in {other.environment}.")
    return [*found, *_of_providers(here, other, theirs)]


def _of_tables(kind: str, own: Mapping[str, Any], theirs: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in sorted({*own, *theirs}):
        if name not in own or name not in theirs:
            yield f"{kind} {name}: only {'here' if name in own else f'in {where}'}."
        elif own[name] != theirs[name]:
            changed = _fields(own[name], theirs[name])
            yield (
                f"{kind} {name}: {changed} differ{'' if ',' in changed else 's'} from {where}."
                if changed
                else (f"{kind} {name}: {own[name]} here, {theirs[name]} in {where}.")
            )


def _fields(own: Any, theirs: Any) -> str:  # noqa: ANN401 - a pin of any kind
    if not isinstance(own, BaseModel):
        return ""
    return ", ".join(name for name in type(own).model_fields if getattr(own, name) != getattr(theirs, name))


def _of_providers(here: Profile, other: Profile, theirs: Manifest) -> Iterator[str]:
    """Providers of the other environment's routes that another program answers for here."""
    chains = [route.targets for route in theirs.routes.values()] + [route.targets for route in theirs.embeddings.values()]
    for name in sorted({target.provider for chain in chains for target in chain}):
        own, wanted = here.providers.get(name), other.providers.get(name)
        if own is None:
            yield f"provider {name}: not configured here, so none of its models is exercised."
        elif wanted is None:
            yield f"provider {name}: not configured in {other.environment}."
        elif own.simulated and not wanted.simulated:
            yield f"provider {name}: the simulator answers here, so none of its models is exercised."
        elif own != wanted:
            yield f"provider {name}: {_named(own)} here, {_named(wanted)} in {other.environment}."


def _named(provider: ProviderProfile) -> str:
    return "the simulator" if provider.simulated else f"{provider.kind} at {provider.host}"
