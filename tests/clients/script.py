"""Reads what a scripted model is to do next, from a conversation of either vendor's form.

A user's text holds `SCRIPT(…)`, a JSON list of steps in base64, which no client escapes or breaks. The model plays one step for
each of its turns after that text. A step has:

- `say`: a text. `%results%` stands for the tools' results since the script, `%saw%` for the images and documents of the
  conversation, `%system%` for the system prompt, `%turns%` for the number of messages, `%all%` for their texts.
- `call`: a list of `[tool, arguments]`, called at once.
- `object`: a value, given as the request wants it: as the arguments of the tool that must be called, or as JSON text.
- `think`: the thinking before it, where the request has thinking.
- `cut`: true where the answer ends in the middle, at the token limit.
- `pause`: seconds between the pieces of a stream.
- `error`: `[status, code]`, in place of an answer.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

_SCRIPT = re.compile(r"SCRIPT\(([\w=-]+)\)")
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request in neither vendor's form: texts by role, results, and what the model may do."""

    system: str
    turns: Sequence[tuple[str, str]]  # role and text; results of tools are of the role `tool`
    saw: Sequence[str] = ()
    tools: Sequence[str] = ()
    must_call: str | None = None  # a tool's name, or * for any

    def step(self) -> dict[str, Any]:
        """The step to play now, with its texts filled in."""
        at, steps = self._script()
        roles = [role for role, _ in self.turns[at + 1 :]]
        played = sum(1 for n, role in enumerate(roles) if role == "assistant" and (n == 0 or roles[n - 1] != "assistant"))
        step = dict(steps[min(played, len(steps) - 1)])
        if "object" in step:
            step |= self._object(step.pop("object"))
        if "say" in step:
            step["say"] = self._filled(step["say"], at)
        return step

    def _script(self) -> tuple[int, list[dict[str, Any]]]:
        for at in range(len(self.turns) - 1, -1, -1):
            role, text = self.turns[at]
            if role == "user" and (found := _SCRIPT.findall(text)):
                return at, _steps(found[-1])
        found = _SCRIPT.findall(self.system)
        return -1, _steps(found[-1]) if found else [{"object": {}} if self.must_call else {"say": "OK."}]

    def _object(self, value: object) -> dict[str, Any]:
        name = self.tools[0] if self.must_call == "*" and self.tools else self.must_call
        return {"call": [[name, value]]} if name else {"say": json.dumps(value)}

    def _filled(self, text: str, at: int) -> str:
        values = {
            "results": " | ".join(t for role, t in self.turns[at + 1 :] if role == "tool"),
            "saw": ", ".join(self.saw),
            "system": self.system,
            "turns": str(len(self.turns)),
            "all": "\n".join(text for _, text in self.turns),
        }
        return re.sub(r"%(results|saw|system|turns|all)%", lambda match: values[match[1]], text)


def _steps(encoded: str) -> list[dict[str, Any]]:
    return list(json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))))


def thumb(data: str) -> str:
    """The first eight characters of a hash, by which a client sees that its bytes came through."""
    return sha256(data.encode()).hexdigest()[:8]


def pieces(text: str, size: int = 7) -> list[str]:
    """A text in the pieces of a stream."""
    return [text[n : n + size] for n in range(0, len(text), size)]


def half(text: str, step: Mapping[str, Any]) -> str:
    """A text, or its first half where the step is cut."""
    return text[: len(text) // 2] if step.get("cut") else text


def tokens(value: object) -> int:
    """About as many tokens as a value has."""
    return max(1, len(value if isinstance(value, str) else json.dumps(value)) // 4)
