"""Filling a JSON Schema from a text, by rule: always valid, and sensible for the fields of a support ticket."""

import re
from collections.abc import Mapping
from typing import Any

_ORDER = re.compile(r"\b[A-Z]{2,4}-\d{4,8}\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD = re.compile(r"[^\W\d_]+")
_FENCE = re.compile(r"<[^>]{1,200}>")

# For each meaning, words that speak for it. Values of an enum are matched by name, then by these.
SYNONYMS: Mapping[str, str] = {
    "shipping": "ship shipped shipping deliver delivery delivered package parcel tracking courier late arrive arrived where lost",
    "returns": "return returned returning send back exchange swap size wrong fit",
    "refund": "refund refunded money reimburse reimbursement credit",
    "payment": "pay payment paid card charge charged charges invoice billing billed twice declined paypal discount voucher gift",
    "account": "account login log password sign email address profile username locked",
    "product": "product size sizing fit material waterproof weight colour color stock available recommend compatible care wash",
    "warranty": "warranty broken broke torn tear defect defective faulty repair leak leaks zipper stopped",
    "cancellation": "cancel cancelled cancellation stop order",
    "privacy": "privacy data gdpr delete erase personal information unsubscribe newsletter marketing",
    "urgent": "urgent urgently immediately emergency asap now today dangerous safety fire injury injured hurt",
    "high": "important soon tomorrow angry unacceptable twice again still terrible worst lawyer complaint",
    "low": "wondering curious question whenever suggestion feedback",
    "negative": "angry bad broken terrible awful worst unacceptable disappointed disappointing torn never late lost frustrated "
    "wrong useless ridiculous furious hate faulty damaged ruined",
    "positive": "thanks thank great love excellent happy wonderful perfect awesome amazing best",
}
PRODUCTS = (
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
LANGUAGES: Mapping[str, str] = {
    "de": "der die das und ich nicht ist mein meine bestellung bitte wurde habe ein",
    "fr": "le la les et je ne pas est mon ma commande bonjour merci une",
    "es": "el los las y no es mi pedido hola gracias una por favor",
    "en": "the and i is my order not please a was have it",
}


def fill(schema: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a value valid under ``schema`` (objects, arrays, enums, unions, bounds), filled from ``text``."""
    plain = " ".join(_FENCE.sub(" ", text).split())
    return _value("", schema, plain, schema)


def _value(name: str, schema: Mapping[str, Any], text: str, root: Mapping[str, Any]) -> Any:  # noqa: ANN401, C901, PLR0911 - any JSON; a table
    if "$ref" in schema:
        return _value(name, _resolve(schema["$ref"], root), text, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _choose(list(schema["enum"]), text)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _union(name, schema[union], text, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        return _union(name, [{**schema, "type": k} for k in kind], text, root)
    match kind:
        case "object":
            return {n: _value(n, s, text, root) for n, s in schema.get("properties", {}).items()}
        case "array":
            return [_value(name, schema.get("items", {}), text, root) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + (1 if "exclusiveMinimum" in schema else 0))
        case "boolean":
            return False
        case "null":
            return None
    return _string(name, schema, text)


def _union(name: str, members: list[Mapping[str, Any]], text: str, root: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """With null allowed: the value if the text has one, else null."""
    others = [m for m in members if m.get("type") != "null"]
    if len(others) < len(members) and not _mentioned(name, text):
        return None
    return _value(name, others[0], text, root) if others else None


def _mentioned(name: str, text: str) -> bool:
    if "order" in name:
        return bool(_ORDER.search(text))
    if "email" in name:
        return bool(_EMAIL.search(text))
    if "product" in name:
        return _product(text) is not None
    return False


def _string(name: str, schema: Mapping[str, Any], text: str) -> str:
    found = _known(name, text)
    longest, shortest = schema.get("maxLength", 200), schema.get("minLength", 0)
    return found[:longest].strip().ljust(shortest, ".")


def _known(name: str, text: str) -> str:
    """Fields that a support desk knows by name; anything else gets the words themselves."""
    if "order" in name and (order := _ORDER.search(text)):
        return order.group(0).upper()
    if "email" in name and (email := _EMAIL.search(text)):
        return email.group(0)
    if "product" in name:
        return _product(text) or ""
    if "language" in name:
        return language(text)
    return re.split(r"(?<=[.!?])\s", text)[0] if name in ("summary", "title", "subject") else text


def _product(text: str) -> str | None:
    lowered = text.lower()
    return next((p for p in ("sleeping bag", *PRODUCTS) if re.search(rf"\b{p}s?\b", lowered)), None)


def language(text: str) -> str:
    """The language whose commonest words occur most."""
    words = [w.lower() for w in _WORD.findall(text)]
    scores = {code: sum(words.count(w) for w in common.split()) for code, common in LANGUAGES.items()}
    best = max(scores, key=lambda code: scores[code])
    return best if scores[best] else "en"


def _choose(values: list[Any], text: str) -> Any:  # noqa: ANN401 - any JSON
    words = [w.lower() for w in _WORD.findall(text)]
    scores = {i: _score(str(value).lower(), words) for i, value in enumerate(values)}
    best = max(scores, key=lambda i: (scores[i], -i))
    if scores[best] > 0:
        return values[best]
    quiet = {"other", "normal", "neutral", "medium", "none", "unknown", "general"}
    return next((v for v in values if str(v).lower() in quiet), values[0])


def _score(value: str, words: list[str]) -> float:
    by_name = sum(2.0 for part in value.replace("_", " ").split() for w in words if w.rstrip("s") == part.rstrip("s"))
    synonyms = set(SYNONYMS.get(value, SYNONYMS.get(value.rstrip("s"), SYNONYMS.get(value + "s", ""))).split())
    return by_name + sum(1.0 for w in words if w in synonyms)


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)
