"""The simulator answers by a product's rules first, then by its own."""

import json

import pytest

from app.simulator.brain import Brain
from app.simulator.request import Ask, ToolOffer, Turn
from app.simulator.rules import Rules

SCHEMA = {
    "type": "object",
    "properties": {
        "order_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "kind": {"enum": ["other", "lamp"]},
        "colour": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "language": {"type": "string"},
    },
}
TOOL = ToolOffer("look_up", "", {"type": "object", "properties": {"order_id": {"type": "string"}}})
LAMPS = Rules(
    calls=lambda ask: [("look_up", {"order_id": "AB-10001"})] if ask.tools and not ask.results else [],
    text=lambda ask: "A lamp." if "lamp" in ask.last_user_text else None,
    value=lambda name, text: ("red" if "red" in text else "") if name == "colour" else None,
    synonyms={"lamp": "light lantern"},
)


def an_ask(text: str, **more: object) -> Ask:
    return Ask(model="m", system="", turns=(Turn("user", text),), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "without", "with_rules"),
    [
        ("the order AB-10001 is a red lantern", ("AB-10001", "other", None), ("AB-10001", "lamp", "red")),
        ("the lamp is broken", (None, "lamp", None), (None, "lamp", None)),
    ],
)
def test_a_schema_is_filled_by_common_rules_and_a_products(
    text: str, without: tuple[object, ...], with_rules: tuple[object, ...]
) -> None:
    for rules, expected in (([], without), ([LAMPS], with_rules)):
        answer = json.loads(Brain(rules).answer(an_ask(text, schema=SCHEMA)).text)
        assert (answer["order_id"], answer["kind"], answer["colour"] or None) == expected
        assert answer["language"] == "en"


def test_a_product_speaks_only_for_its_own_requests() -> None:
    brain = Brain([Rules(), LAMPS])
    assert brain.answer(an_ask("Which lamp?")).text == "A lamp."
    assert brain.answer(an_ask("Which tent?")).text.startswith("You said: Which tent.")


def test_a_products_tools_are_called_by_its_rules_alone() -> None:
    assert Brain([LAMPS]).answer(an_ask("Where is it?", tools=(TOOL,))).calls == [("look_up", {"order_id": "AB-10001"})]
    assert Brain().answer(an_ask("Where is it?", tools=(TOOL,))).calls == []


def test_without_a_product_the_answers_of_tools_are_put_in_words() -> None:
    turns = (
        Turn("user", "Where is it?"),
        Turn("assistant", "", calls=(("1", "look_up", {}),)),
        Turn("user", "", results=(("1", '{"status": "on its way"}'),)),
    )
    answer = Brain().answer(Ask(model="m", system="", turns=turns, tools=(TOOL,)))
    assert answer.text == "Here is what I found (look up): status: on its way."
