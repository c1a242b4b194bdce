"""The wires that the simulator speaks, one listener for each. A further one is a module of this folder and its name here."""

from collections.abc import Mapping
from types import ModuleType

from app.simulator import anthropic_wire, openai_wire

WIRES: Mapping[str, ModuleType] = {wire.NAME: wire for wire in (openai_wire, anthropic_wire)}
CONTROL = "control"
