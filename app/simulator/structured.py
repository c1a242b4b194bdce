"""Filling a JSON Schema from a text, by rule: always valid, and sensible for fields with common names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.simulator.rules import Rules

_ID = re.compile(r"\b[A-Z]{2,4}-\d{4,8}\b", re.IGNORECASE)
_ID_FIELD = re.compile(r"(?:^|_)(?:id|number|order|reference)$")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD = re.compile(r"[^\W\d_]+")
_FENCE = re.compile(r"<[^>]{1,200}>")

# For each meaning, words that speak for it. Values of an enum are matched by name, then by these and by the products' own.
SYNONYMS: Mapping[str, str] = {
    "urgent": "urgent urgently immediately emergency asap now today dangerous safety fire injury injured hurt",
    "high": "important soon tomorrow angry unacceptable twice again still terrible worst lawyer complaint",
    "low": "wondering curious question whenever suggestion feedback",
    "negative": "angry bad broken terrible awful worst unacceptable disappointed disappointing torn never late lost frustrated "
    "wrong useless ridiculous furious hate faulty damaged ruined",
    "positive": "thanks thank great love excellent happy wonderful perfect awesome amazing best",
}
LANGUAGES: Mapping[str, str] = {
    "de": "der die das und ich nicht ist mein meine bestellung bitte wurde habe ein",
    "fr": "le la les et je ne pas est mon ma commande bonjour merci une",
    "es": "el los las y no es mi pedido hola gracias una por favor",
    "en": "the and i is my order not please a was have it",
}


def is_id(name: str) -> bool:
    """Return whether a field or an argument of this name holds an id."""
    return bool(_ID_FIELD.search(name))


class Filler:
    """Fills schemas, with the products' rules for fields and values."""

    def __init__(self, rules: Sequence[Rules] = ()) -> None:
        """``rules``: of each product."""
        self._rules = rules
        self._synonyms = {**SYNONYMS, **{value: words for each in rules for value, words in each.synonyms.items()}}

    def fill(self, schema: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a value valid under ``schema`` (objects, arrays, enums, unions, bounds), filled from ``text``."""
        plain = " ".join(_FENCE.sub(" ", text).split())
        return self._value("", schema, plain, schema)

    def _value(self, name: str, schema: Mapping[str, Any], text: str, root: Mapping[str, Any]) -> Any:  # noqa: ANN401, C901, PLR0911 - any JSON; a table
        if "$ref" in schema:
            return self._value(name, _resolve(schema["$ref"], root), text, root)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choose(list(schema["enum"]), text)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._union(name, schema[union], text, root)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._union(name, [{**schema, "type": k} for k in kind], text, root)
        match kind:
            case "object":
                return {n: self._value(n, s, text, root) for n, s in schema.get("properties", {}).items()}
            case "array":
                return [self._value(name, schema.get("items", {}), text, root) for _ in range(schema.get("minItems", 0))]
            case "integer" | "number":
                return schema.get("minimum", schema.get("exclusiveMinimum", 0) + (1 if "exclusiveMinimum" in schema else 0))
            case "boolean":
                return False
            case "null":
                return None
        return self._string(name, schema, text)

    def _union(self, name: str, members: list[Mapping[str, Any]], text: str, root: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """With null allowed: the value if the text has one, else null."""
        others = [m for m in members if m.get("type") != "null"]
        if len(others) < len(members) and not self._found(name, text):
            return None
        return self._value(name, others[0], text, root) if others else None

    def _string(self, name: str, schema: Mapping[str, Any], text: str) -> str:
        found = self._found(name, text)
        if found is None:
            found = _described(name, text)
        longest, shortest = schema.get("maxLength", 200), schema.get("minLength", 0)
        return found[:longest].strip().ljust(shortest, ".")

    def _found(self, name: str, text: str) -> str | None:
        """The text's value for a field of this name: a product's own value, a number, an address."""
        own = next((value for value in (rules.value(name, text) for rules in self._rules) if value is not None), None)
        if own is not None:
            return own
        if is_id(name) and (number := _ID.search(text)):
            return number.group(0).upper()
        if "email" in name and (email := _EMAIL.search(text)):
            return email.group(0)
        return None

    def _choose(self, values: list[Any], text: str) -> Any:  # noqa: ANN401 - any JSON
        words = [w.lower() for w in _WORD.findall(text)]
        scores = {i: self._score(str(value).lower(), words) for i, value in enumerate(values)}
        best = max(scores, key=lambda i: (scores[i], -i))
        if scores[best] > 0:
            return values[best]
        quiet = {"other", "normal", "neutral", "medium", "none", "unknown", "general"}
        return next((v for v in values if str(v).lower() in quiet), values[0])

    def _score(self, value: str, words: list[str]) -> float:
        by_name = sum(2.0 for part in value.replace("_", " ").split() for w in words if w.rstrip("s") == part.rstrip("s"))
        known = self._synonyms
        synonyms = set(known.get(value, known.get(value.rstrip("s"), known.get(value + "s", ""))).split())
        return by_name + sum(1.0 for w in words if w in synonyms)


def _described(name: str, text: str) -> str:
    """A value that any text has: its language, its first sentence; else the text itself."""
    if "language" in name:
        return language(text)
    return re.split(r"(?<=[.!?])\s", text)[0] if name in ("summary", "title", "subject") else text


def language(text: str) -> str:
    """The language whose commonest words occur most."""
    words = [w.lower() for w in _WORD.findall(text)]
    scores = {code: sum(words.count(w) for w in common.split()) for code, common in LANGUAGES.items()}
    best = max(scores, key=lambda code: scores[code])
    return best if scores[best] else "en"


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)
