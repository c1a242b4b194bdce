"""A model as judge of answers against their source (E8).

No deterministic scorer sees whether an answer says more than its source.

The judge is called through the gateway like every other model, so that its calls are held, capped, paid and recorded. A judge
that was not calibrated, or fell short, may give an opinion and may not gate: see `calibration`.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiohttp

from evals.client import Service, Unreachable

MODEL = "smart"
TIMEOUT = 60.0  # seconds for one opinion


@dataclass(frozen=True, slots=True)
class Prompts:
    """The system prompts of a judge.

    One is for an opinion on an answer, one for the better of two answers.
    """

    supported: str
    better: str

    @property
    def digest(self) -> str:
        """Changes with the prompts or the model: a calibration of others says nothing about these."""
        return hashlib.sha256((self.supported + self.better + MODEL).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer to a question, beside the text that must hold it."""

    source: str
    question: str
    answer: str


class Judge(Protocol):
    """Gives opinions. Raises Unreachable where none came: a dead judge has no opinion, not a good one."""

    async def supported(self, claim: Claim) -> bool:
        """Whether the source holds everything that the answer says."""

    async def prefers_first(self, claim: Claim, other: str) -> bool:
        """Whether the claim's answer, shown first, is the faithful one, not ``other``."""


class GatewayJudge:
    """Asks the service's own chat endpoint, with an answer that is constrained to two words."""

    def __init__(self, prompts: Prompts, service: Service, session: aiohttp.ClientSession) -> None:
        """``session`` is the caller's, and closed by it."""
        self._prompts = prompts
        self._service = service
        self._session = session

    async def supported(self, claim: Claim) -> bool:
        """See `Judge`."""
        text = f"<article>\n{claim.source}\n</article>\n<question>{claim.question}</question>\n<answer>{claim.answer}</answer>"
        return await self._ask(self._prompts.supported, text, ("supported", "unsupported")) == "supported"

    async def prefers_first(self, claim: Claim, other: str) -> bool:
        """See `Judge`."""
        text = f"<article>\n{claim.source}\n</article>\n<question>{claim.question}</question>\n"
        text += f"<first>{claim.answer}</first>\n<second>{other}</second>"
        return await self._ask(self._prompts.better, text, ("first", "second")) == "first"

    async def _ask(self, system: str, text: str, words: tuple[str, str]) -> str:
        kind: Literal["object"] = "object"
        schema: dict[str, Any] = {
            "type": kind,
            "properties": {"verdict": {"type": "string", "enum": list(words)}},
            "required": ["verdict"],
            "additionalProperties": False,
        }
        body = {
            "model": MODEL,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}},
            "user": "judge",
        }
        headers, timeout = {"authorization": f"Bearer {self._service.key}"}, aiohttp.ClientTimeout(total=TIMEOUT)
        url = self._service.url + "/v1/chat/completions"
        try:
            async with self._session.post(url, json=body, headers=headers, timeout=timeout) as response:
                if response.status != 200:
                    raise Unreachable(f"the judge answers HTTP {response.status}")
                content = (await response.json())["choices"][0]["message"]["content"]
                verdict = json.loads(content)["verdict"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise Unreachable(f"the judge gave no opinion: {type(error).__name__}") from error
        if verdict not in words:
            raise Unreachable("the judge's opinion is none of the two words")
        return str(verdict)
