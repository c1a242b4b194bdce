"""Names that a fork or a product may have."""

import pytest

from kit.names import checked, clash, renaming
from kit.refused import Refused


@pytest.mark.parametrize("name", ["nova", "meridian", "qx3", "northbank24"])
def test_one_word_of_letters_and_digits_does(name: str) -> None:
    assert checked(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("open-ai", "one word"), ("my_bot", "one word"), ("Redis", "one word"), ("übung", "one word"), ("9lives", "one word"),
        ("", "one word"), ("nova\n", "one word"), ("two words", "one word"), ("../up", "one word"),
        ("a", "letters"), ("ab", "letters"), ("northwindoutfitters", "letters"),
        ("class", "word of Python"), ("match", "word of Python"), ("print", "word of Python"),
        ("json", "installed"), ("redis", "installed"), ("app", "installed"), ("pytest", "installed"),
        ("taken", "in use"),
    ],
)  # fmt: skip
def test_what_could_not_be_module_command_header_and_metric_is_refused(name: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        checked(name, taken={"taken"})


def test_a_new_name_stands_wherever_the_old_one_did() -> None:
    renamed = renaming("comet", "nova")
    assert renamed("comet COMET_PORT=1 x-comet-id comet_calls_total CometError .comet/") == (
        "nova NOVA_PORT=1 x-nova-id nova_calls_total NovaError .nova/"
    )


def test_an_identifier_that_is_there_already_is_a_clash() -> None:
    renamed = renaming("comet", "nova")
    assert clash(["class CometError: ...", "from x import NovaError as y"], renamed) == "CometError would become NovaError"
    assert clash(["class CometError: ...", "text = 'NovaError'  # nova_port"], renamed) == ""
