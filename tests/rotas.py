"""Rotations for tests: a small one that holds, and changes of it."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from app.oncall.rota.reading import read_rotation
from app.oncall.rota.rotation import Rotation
from app.oncall.rota.shifts import duties

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
NAMES = ("ann", "bob", "cat", "dan")
DATA: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "change_at": "09:00",
    "people": {
        name: {"name": name.title(), "phone": f"+49 170 00000{number}", "mail": f"{name}@octant.dev"}
        for number, name in enumerate(NAMES, start=10)
    },
    "layers": {
        "agency": [{"from": "2026-11-02", "people": ["ann", "bob"]}],
        "client": [{"from": "2026-11-02", "people": ["cat", "dan"]}],
    },
    "plan": [
        {"from": "2026-11-02", "levels": [{"layers": ["agency"]}, {"layers": ["client"]}]},
        {"from": "2027-01-31", "levels": [{"layers": ["client"]}, {"layers": ["agency"]}]},
    ],
}


class _Whole(yaml.SafeDumper):
    """Writes shared values out, without aliases."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def text(**changes: Any) -> str:  # noqa: ANN401 - any part of the file
    return yaml.dump({**deepcopy(DATA), **changes}, Dumper=_Whole, sort_keys=False)


def rotation(**changes: Any) -> Rotation:  # noqa: ANN401 - any part of the file
    return read_rotation(text(**changes), "rotation.yaml")


def one_layer(*lists: dict[str, Any], people: int = 4, **changes: Any) -> Rotation:  # noqa: ANN401 - any part of the file
    """A rotation with one level, of one layer with these lists."""
    names = [f"p{number}" for number in range(people)]
    about = {name: {"name": name, "phone": f"+4917000{i:05}", "mail": f"{name}@octant.dev"} for i, name in enumerate(names)}
    plan = [{"from": "2020-01-01", "levels": [{"layers": ["first"]}]}]
    return rotation(**{"people": about, "layers": {"first": list(lists)}, "plan": plan, **changes})


def called(r: Rotation, *at: int) -> list[str]:
    """The keys of the people who are called, level by level, at a local time."""
    return [duty.key for duty in duties(r, datetime(*at, tzinfo=r.zone))]  # type: ignore[arg-type,misc]  # parts of a date
