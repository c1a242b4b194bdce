"""A forced tool call, for models that take none: they are asked for it in words, and `recovery.output` checks the answer."""

from app.domain.messages import ToolChoice

MUST_CALL = "Answer with a call of one or more of your tools. An answer without a call is not accepted."
MUST_CALL_THIS = "Answer with a call of the tool `{name}`. An answer without this call is not accepted."


def in_words(wanted: ToolChoice) -> tuple[ToolChoice, str | None]:
    """The choice that a model takes, and the sentence for its instructions that stands for the rest, if any is left."""
    if wanted.mode not in ("any", "tool"):
        return wanted, None
    sentence = MUST_CALL_THIS.format(name=wanted.name) if wanted.name else MUST_CALL
    return ToolChoice("auto", None, wanted.parallel), sentence
