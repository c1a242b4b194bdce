"""Whether a call fits what it names: the kind of the alias, a prompt that clients may call, its version and variables. Pure.

A prompt is open to its own product, and to clients where the release says ``callable`` (G3). To a client, any other prompt does
not exist.
"""

import re

from app.domain.calls import Call
from app.domain.embeddings import VectorSpace
from app.domain.errors import InvalidRequest, OctantError, UnknownModel, UnsupportedParameter, WrongEndpoint
from app.domain.routes import Pin, Prompt

SHOWN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")  # a caller's own word is repeated only if it is a name
MOST_NAMES = 10


def check(call: Call, pin: Pin) -> None:
    """Raise WrongEndpoint, UnknownModel, InvalidRequest or UnsupportedParameter."""
    space = pin.route.space
    if call.embed and space:
        _check_inputs(call, space)
    elif call.embed:
        raise _wrong(pin, "gives no embeddings. Use an alias of embeddings, or call /v1/chat/completions or /v1/messages")
    elif space:
        raise _wrong(pin, "gives embeddings alone: call /v1/embeddings")
    elif pin.prompt:
        _check_prompt(call, pin.prompt)
    elif call.variables or call.prompt_version:
        raise InvalidRequest("`prompt` must name a prompt; this is the alias of a model.", param="prompt.id")


def _check_inputs(call: Call, space: VectorSpace) -> None:
    embed = call.embed
    if embed and embed.dimensions and embed.dimensions != space.dimensions:
        if embed.dimensions > space.dimensions:
            raise InvalidRequest(f"'dimensions' is at most {space.dimensions} for this model.", param="dimensions")
        if not space.shortens:
            raise UnsupportedParameter(f"'dimensions': this model gives {space.dimensions}, and no fewer.", param="dimensions")
    if embed and embed.token_ids and space.tokenizer is None:
        message = "Token ids mean nothing to this model: send texts (LangChain: `check_embedding_ctx_length=False`)."
        raise UnsupportedParameter(message, param="input")


def _wrong(pin: Pin, sentence: str) -> WrongEndpoint:
    return WrongEndpoint(f"The model '{pin.prompt.name if pin.prompt else pin.route.name}' {sentence}.", param="model")


def _check_prompt(call: Call, prompt: Prompt) -> None:
    if call.feature.partition(".")[0] == prompt.product:
        return
    if not prompt.callable:
        raise unknown(prompt.name)
    if call.prompt_version not in (None, prompt.version):
        message = f"The live release has version {prompt.version} of this prompt. Leave `version` out to follow the release."
        raise InvalidRequest(message, param="prompt.version")
    _check_variables(call, prompt)
    offered = [tool.name for tool in call.tools if tool.name not in prompt.tools]
    if offered:
        raise UnsupportedParameter(f"Tools of this prompt: {', '.join(prompt.tools) or 'none'}.", param="tools")


def _check_variables(call: Call, prompt: Prompt) -> None:
    """Name every variable that is missing or unknown."""
    missing, unwanted = sorted(prompt.variables - call.variables.keys()), sorted(call.variables.keys() - prompt.variables)
    sentences = []
    if missing:
        sentences.append(f"The prompt needs {_listed(missing)}.")
    if unwanted:
        sentences.append(f"The prompt has no {_listed([name if SHOWN.match(name) else '…' for name in unwanted])}.")
    if sentences:
        first = (missing or unwanted)[0]
        param = f"prompt.variables.{first}" if SHOWN.match(first) else "prompt.variables"
        raise InvalidRequest(" ".join(sentences), param=param)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"variable{'s' if len(names) > 1 else ''} {', '.join(f'`{name}`' for name in names[:MOST_NAMES])}{more}"


def unknown(target: str) -> OctantError:
    """The error for a name that the caller may not call: it does not exist for it."""
    return UnknownModel(f"No model {target[:64]!r}. GET /v1/models lists them.", param="model")
