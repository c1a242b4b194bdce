"""Filling a JSON Schema from a text, by rule: always valid, and sensible for fields with common names."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.simulator.rules import Rules
from app.simulator.samples import FORMATS, matching

ID = re.compile(r"(?<![A-Z0-9])[A-Z]{2,4}-[0-9]{4,8}(?![A-Z0-9])", re.IGNORECASE)  # no \b: Japanese has no spaces
_ID_FIELD = re.compile(r"(?:^|_)(?:id|number|order|reference)$")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD = re.compile(r"[^\W\d_]+")
_DEEP, _DEEPEST = 6, 30  # levels down to which optional properties are filled, and any
_MOST = 100_000  # items, properties and letters of one value that are made because its schema wants them
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
        self._left = _MOST
        self._synonyms = {**SYNONYMS, **{value: words for each in rules for value, words in each.synonyms.items()}}

    def fill(self, schema: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a value valid under ``schema`` (objects, arrays, enums, unions, bounds), filled from ``text``."""
        self._left = _MOST
        plain = " ".join(_FENCE.sub(" ", text).split())
        return self._value("", schema, plain, schema)

    def _value(self, name: str, schema: Any, text: str, root: Mapping[str, Any], depth: int = 0) -> Any:  # noqa: ANN401, C901, PLR0911 - any JSON; a table
        schema = _plain(schema, root)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choose(list(schema["enum"]), text)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                shared = {key: value for key, value in schema.items() if key != union}
                return self._union(name, [merged(shared, _plain(m, root)) for m in schema[union]], text, root, depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._union(name, [{**schema, "type": k} for k in kind], text, root, depth)
        match kind:
            case "object":
                return self._object(schema, text, root, depth + 1)
            case "array":
                return self._array(name, schema, text, root, depth + 1)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return False
            case "null":
                return None
        return self._string(name, schema, text)

    def _object(self, schema: Mapping[str, Any], text: str, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """All properties; far down, only those that are required: a schema may hold itself."""
        known: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", ())
        other = schema.get("additionalProperties", {})
        wanted = [name for name in known if depth <= _DEEP or name in required]
        wanted += [name for name in required if name not in known]
        wanted += [f"key{number}" for number in range(len(wanted), self._at_least(schema, "minProperties"))]
        return {name: self._value(name, known.get(name, other), text, root, depth) for name in wanted} if depth < _DEEPEST else {}

    def _array(self, name: str, schema: Mapping[str, Any], text: str, root: Mapping[str, Any], depth: int) -> list[Any]:
        if own := self._listed(name, schema, text, root):
            return own
        first, least = list(schema.get("prefixItems", ())), self._at_least(schema, "minItems")
        if "contains" in schema and not first:
            first = [schema["contains"]]
        items = [*first, *[schema.get("items", {})] * (least - len(first))]
        made = [self._value(name, item, text, root, depth) for item in items]
        return [_other(value, number, items[number]) for number, value in enumerate(made)] if schema.get("uniqueItems") else made

    def _listed(self, name: str, schema: Mapping[str, Any], text: str, root: Mapping[str, Any]) -> list[Any]:
        """A product's own values for a list of strings, where as many as the schema wants are there; else none."""
        if not _plain(schema.get("items"), root).keys() <= {"type", "title", "description"} or "prefixItems" in schema:
            return []
        found = list(dict.fromkeys(value for rules in self._rules for value in rules.values(name, text) or ()))
        return found[: schema.get("maxItems")] if len(found) >= schema.get("minItems", 0) else []

    def _at_least(self, schema: Mapping[str, Any], keyword: str) -> int:
        """As many as the schema wants, as long as there are some left: a billion would fill the machine's memory."""
        wanted = int(min(schema.get(keyword, 0), self._left))
        self._left -= wanted
        return wanted

    def _union(self, name: str, members: list[Mapping[str, Any]], text: str, root: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - any JSON
        """With null allowed: the value if the text has one, else null. Far down, the member that ends soonest."""
        others = [m for m in members if m.get("type") != "null"]
        if len(others) < len(members) and not self._found(name, text):
            return None
        if depth > _DEEP:
            others.sort(key=lambda m: m.get("type") in ("object", "array"))
        return self._value(name, others[0], text, root, depth) if others else None

    def _string(self, name: str, schema: Mapping[str, Any], text: str) -> str:
        found = self._found(name, text)
        if found is None:
            found = FORMATS.get(schema.get("format", "")) or _described(name, text)
        longest, shortest = schema.get("maxLength", 200), self._at_least(schema, "minLength")
        fitting = found[:longest].strip().ljust(shortest, ".")
        if (pattern := schema.get("pattern")) is None or _fits(pattern, fitting):
            return fitting
        return matching(pattern, shortest=shortest, longest=schema.get("maxLength", 10_000)) or fitting

    def _found(self, name: str, text: str) -> str | None:
        """The text's value for a field of this name: a product's own value, a number, an address."""
        own = [value for value in (rules.value(name, text) for rules in self._rules) if value is not None]
        if own:  # products may share a field's name: one that finds nothing in this text hides no other's value
            return next(filter(None, own), "")
        if is_id(name) and (number := ID.search(text)):
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


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """One schema that both agree to, where they name different things."""
    both = {**first, **second}
    if "properties" in first and "properties" in second:
        both["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        both["required"] = [*first["required"], *second["required"]]
    return both


def _plain(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - an object, true or false
    """A schema with its reference followed and its ``allOf`` merged; anything that is no object allows all."""
    found = dict(schema) if isinstance(schema, Mapping) else {}
    for _ in range(_DEEPEST):
        if "$ref" in found:
            found = merged(_resolve(found.pop("$ref"), root), found)
        elif "allOf" in found:
            for part in found.pop("allOf"):
                found = merged(found, _plain(part, root))
        else:
            break
    return found


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    """The number nearest zero within the bounds, on the grid of ``multipleOf``."""
    step = schema.get("multipleOf", 1 if whole else 0)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None and below is not None and below - above <= (step or 1):
        return float(above + below) / 2
    low = max(schema.get("minimum", -math.inf), -math.inf if above is None else above + (step or 1))
    high = min(schema.get("maximum", math.inf), math.inf if below is None else below - (step or 1))
    near: float = min(max(0, low), high)
    if not step or near == 0:
        return near
    rounded = math.ceil(near / step) * step if near == low else math.floor(near / step) * step
    return int(rounded) if whole else rounded


def _other(value: Any, number: int, schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """The ``number``th of values that must differ."""
    choices = schema.get("enum") if isinstance(schema, Mapping) else None
    if choices:
        return choices[number % len(choices)]
    if isinstance(value, str):
        return f"{value[:190]} {number + 1}" if number else value
    step = schema.get("multipleOf", 1) if isinstance(schema, Mapping) else 1
    return value + number * step if isinstance(value, int | float) and not isinstance(value, bool) else value


def _fits(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True  # of another dialect: nothing here could do better


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#").removeprefix("/").split("/") if len(reference) > 1 else ():
        found = found[int(step) if isinstance(found, list) else step.replace("~1", "/").replace("~0", "~")]
    return dict(found) if isinstance(found, Mapping) else {}
