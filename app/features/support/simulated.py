"""The simulator's answers for this product: from passages with citations, by tools, or by a hand-over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.simulator.brain import in_words
from app.simulator.request import Ask, ToolOffer
from app.simulator.rules import Rules
from app.simulator.structured import ID

_PASSAGE = re.compile(r'<passage\b[^>]*?\bid="([^"]+)"[^>]*>\s*(.*?)\s*</passage>', re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_STOP_WORDS = frozenset(
    """
    a about am an and any are as at be been but by can could did do does for from get got had has have hello help her him
    his how i if in is it its just know like long make may me my need of off on or our out please question should so some
    tell than thank thanks that the their them then there they this to too us use want was we what when where which who
    whom why will with would you your der die das ich ist und wie mein meine le la les je est et que mon ma el los mi es y
    como
    """.split()  # noqa: SIM905 - words read better as a text than as a column of strings
)
_SYNONYMS: Mapping[str, str] = {
    "shipping": "ship shipped shipping deliver delivery delivered package parcel tracking courier late arrive arrived where lost",
    "returns": "return returned returning send back exchange swap size wrong fit",
    "refund": "refund refunded money reimburse reimbursement credit",
    "payment": "pay payment paid card charge charged charges invoice billing billed twice declined paypal discount voucher gift",
    "account": "account login log password sign email address profile username locked",
    "product": "product size sizing fit material waterproof weight colour color stock available recommend compatible care wash",
    "warranty": "warranty broken broke torn tear defect defective faulty repair leak leaks zipper stopped",
    "cancellation": "cancel cancelled cancellation stop order",
    "privacy": "privacy data gdpr delete erase personal information unsubscribe newsletter marketing",
}
_PRODUCTS = (
    "sleeping bag",
    "tent",
    "boots",
    "boot",
    "jacket",
    "stove",
    "backpack",
    "mat",
    "poles",
    "headlamp",
    "bottle",
    "gloves",
    "socks",
    "hat",
)
_PASSAGE_ID = re.compile(r'<passage\b[^>]*?\bid="([^"]+)"')
_HAND_OVER = "hand_over_to_human"
_TOOLS = frozenset({"get_order", "list_orders", "cancel_order", "request_refund", _HAND_OVER})
_NO_EVIDENCE = "I do not know: our help articles do not cover this."
FLOOR = 0.34  # share of the question's words that one passage must hold to count as an answer


@dataclass(frozen=True, slots=True)
class _Found:
    article: str
    sentences: tuple[str, ...]
    share: float


def calls(ask: Ask) -> list[tuple[str, Mapping[str, Any]]]:
    """The tools to call now, if any."""
    question = _question(ask)
    done = {name for name, _, _ in ask.results}
    order = next(iter(ID.findall(question)), None)
    act = _named(ask.tools, _action(question))
    if order and act and act.name not in done and _looked_up(ask, order):
        return [(act.name, _arguments(act, order.upper(), question))]
    if order and not any(arguments.get("order_id") == order.upper() for _, _, arguments in ask.results):
        lookup = _named(ask.tools, "get_order")
        return [(lookup.name, _arguments(lookup, order.upper(), question))] if lookup else []
    listing = _named(ask.tools, "list_orders")
    if not order and listing and not done and re.search(r"\bmy (?:recent |last |latest )?orders?\b", question, re.IGNORECASE):
        return [(listing.name, {})]
    hand_over = _named(ask.tools, _HAND_OVER)
    if hand_over and hand_over.name not in done and not ask.results and (_wants_human(question) or _best(ask) is None):
        return [(hand_over.name, _arguments(hand_over, "", _reason(question)))]
    return []


def text(ask: Ask) -> str | None:
    """Answer from the tools' results and the passages, with citations. None if the request has neither."""
    if "<passage" not in ask.last_user_text and not any(name in _TOOLS for name, _, _ in ask.results):
        return None
    sentences = [in_words(name, said) for name, said, _ in ask.results if name != _HAND_OVER]
    if any(name == _HAND_OVER for name, _, _ in ask.results):
        sentences.append("I have handed this over to a colleague, who will get back to you.")
        return " ".join(sentences)
    found = _best(ask)
    if found and not (ask.results and found.share < 2 * FLOOR):
        sentences.append(" ".join(found.sentences) + f" [{found.article}]")
    return " ".join(sentences) or _NO_EVIDENCE


def _question(ask: Ask) -> str:
    """The customer's words: the text before the first passage, or after the last, or all of it."""
    first = next((t.text for t in ask.turns if t.role == "user" and t.text), "")
    tagged = re.search(r"<(?:question|customer|customer_message)\b[^>]*>\s*(.*?)\s*</", first, re.DOTALL)
    return tagged.group(1) if tagged else _PASSAGE.sub(" ", first)


def _action(question: str) -> str:
    """The tool with side effects that the customer wants; empty for none."""
    lowered = question.lower()
    if re.search(r"\bcancel|storniere|annule", lowered):
        return "cancel_order"
    if re.search(r"\brefund|money back|reimburs", lowered):
        return "request_refund"
    return ""


def _looked_up(ask: Ask, order: str) -> bool:
    """Whether the order was found: an unknown order gets no action."""
    texts = [text for _, text, arguments in ask.results if arguments.get("order_id") == order.upper()]
    return any("not found" not in t.lower() and "error" not in t.lower() for t in texts)


def _named(tools: tuple[ToolOffer, ...], name: str) -> ToolOffer | None:
    return next((tool for tool in tools if tool.name == name), None)


def _arguments(tool: ToolOffer, order: str, text: str) -> dict[str, Any]:
    """Arguments that fit the tool's schema: the order for an order field, the words for any other."""
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    return {name: order if "order" in name else " ".join(text.split())[:200] for name in properties}


def _wants_human(question: str) -> bool:
    return bool(
        re.search(r"\b(?:human|real person|agent|representative|speak to (?:a|some)|talk to (?:a|some))", question, re.IGNORECASE)
    )


def _reason(question: str) -> str:
    why = "The customer asks for a person" if _wants_human(question) else "No help article covers the question"
    return f"{why}: {' '.join(question.split())[:150]}"


def _best(ask: Ask) -> _Found | None:
    """The passage with most of the question's words, and its best sentences; None under the floor."""
    first = next((t.text for t in ask.turns if t.role == "user" and t.text), "")
    wanted = _stems(_question(ask))
    if not wanted:
        return None
    best: _Found | None = None
    for article, text in _PASSAGE.findall(first):
        held = _stems(text + " " + article)
        share = len(wanted & held) / len(wanted)
        if share >= FLOOR and (best is None or share > best.share + 1e-9):
            best = _Found(article, _sentences(text, wanted), share)
    return best


def _sentences(text: str, wanted: frozenset[str]) -> tuple[str, ...]:
    """The two sentences that share most words with the question, in order, without the title."""
    body = text.split("\n", 1)[-1]
    sentences = [s.strip() for s in _SENTENCE.split(body) if len(s.split()) > 3]
    ranked = sorted(range(len(sentences)), key=lambda i: (-len(wanted & _stems(sentences[i])), i))[:2]
    return tuple(sentences[i] for i in sorted(ranked))


def _stems(text: str) -> frozenset[str]:
    """Words without their endings, short function words left out."""
    words = (w.lower() for w in _WORD.findall(text))
    return frozenset(_stem(w) for w in words if w not in _STOP_WORDS and len(w) > 1)


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ied", "es", "ed", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _value(name: str, text: str) -> str | None:
    """The product that a text names, for a product field."""
    if "product" not in name:
        return None
    lowered = text.lower()
    return next((p for p in _PRODUCTS if re.search(rf"\b{p}s?\b", lowered)), "")


def _pretext(read: str) -> str:
    """Cite the shown articles, in the form of this product's answers."""
    return " ".join(f"See [{name}]." for name in dict.fromkeys(_PASSAGE_ID.findall(read)))


RULES = Rules(
    calls=calls,
    text=text,
    value=_value,
    synonyms=_SYNONYMS,
    pretext=_pretext,
    last_tools=frozenset({_HAND_OVER}),
    hosts=frozenset({"northwind.example"}),
)
