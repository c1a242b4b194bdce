"""Reading settings as people write them: the same file means the same to a shell, compose, `docker run` and us.

`docker run --env-file` keeps quotes and the carriage returns of Windows; a secret made with `echo` ends with a line feed; compose
hands on a variable that is not set as an empty one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

PREFIX, DELIMITER = "octant_", "__"
# Kubernetes puts each Service's address into every container, as Docker's links did: of one named `octant`, OCTANT_PORT is a URL.
_LINKED = re.compile(
    rf"{PREFIX}(?:\w+_)?(?:service_(?:host|port(?:_\w+)?)|port_[0-9]+_(?:tcp|udp|sctp)(?:_proto|_port|_addr)?)\Z"
)
_LINK = re.compile(r"(?:tcp|udp|sctp)://")
MEANT_EMPTY = frozenset({"octant_http__trusted_proxies"})  # empty is no proxy there, and the default is some


class _Tidied:
    """A source that gives values without what surrounds them."""

    settings_cls: type[BaseSettings]

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found: Mapping[str, str | None] = super()._load_env_vars()  # type: ignore[misc] # of the class beside
        ours = {name: tidied(value) if value and name.startswith(PREFIX) else value for name, value in found.items()}
        ours = {name: value for name, value in ours.items() if not (name.endswith("_port") and value and _LINK.match(value))}
        defaults = dict(_defaults(self.settings_cls))
        return {name: value for name, value in ours.items() if value != "" or name in MEANT_EMPTY or not defaults.get(name)}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401 - pydantic's own
        """As the library; text that is no JSON stays text, so that the error names the variable and not its group."""
        try:
            return super().decode_complex_value(field_name, field, value)  # type: ignore[misc] # of the class beside
        except ValueError:
            return value


class Environment(_Tidied, EnvSettingsSource):
    """The environment's variables."""


class DotEnv(_Tidied, DotEnvSettingsSource):
    """The variables of the file .env."""


def tidied(value: str) -> str:
    """A value without blanks around it, and without one pair of quotes around it."""
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def is_linked(name: str) -> bool:
    """Whether a variable is Kubernetes' word on a Service, not a setting."""
    return bool(_LINKED.match(name.lower()))


def known_names(settings: type[BaseSettings]) -> frozenset[str]:
    """Every variable that is a setting, in lower case; groups with names of an operator's choice are left out."""
    return frozenset(name for name, _ in _defaults(settings))


def _defaults(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, bool]]:
    """Each variable, and whether an empty one stands for a default that is not empty, or could not be read at all."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            yield prefix + name, True
            yield from _defaults(type(default), f"{prefix}{name}{DELIMITER}")
        else:
            plain = default.get_secret_value() if isinstance(default, SecretStr) else default
            yield prefix + name, plain != ""
