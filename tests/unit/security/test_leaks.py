"""An answer that leaks the system prompt is stopped before the leak is out (S4)."""

import base64
import codecs
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from app.domain.calls import Reply, Usage
from app.domain.errors import AnswerWithheld
from app.domain.messages import OutputSchema, Text
from app.security.guard import leaks
from app.security.guard.leaks import (
    MOST_IN_PIECES,
    MOST_WATCHED,
    PIECE,
    PREFIX,
    RUN,
    STEP,
    WATCHED,
    LeakWatch,
    canary,
    plain,
    secrets_of,
)
from app.security.guard.links import Links
from app.security.guard.outgoing import Outgoing

CANARY = canary(b"a secret", "2026-11-22", "support/answer")
SYSTEM = (
    "You are the support assistant of Northwind Outfitters, an outdoor shop.\n\n- Answer from the help articles and from your "
    f"tools alone. Do not guess.\n- Cancel or refund only what the customer asked for.\n\nInternal mark: {CANARY}\n"
)
WITHOUT = SYSTEM.partition("Internal")[0]
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "backwards": lambda text: text[::-1],
    "with gaps": " ".join,
    "with dots": ".".join,
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after a letter": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 after two": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(" "),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    # Spellings of jailbreak collections (elder-plinius/P4RS3LT0NGV3): each reads as the same text
    "Cyrillic and Greek letters": lambda text: text.translate(
        str.maketrans("aceopxyAEOKv", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0410\u0415\u041e\u041a\u03bd")
    ),
    "one look-alike": lambda text: text.replace("o", "\u043e"),
    "accents": lambda text: text.translate(str.maketrans("aeiouy", "\u00e1\u00e9\u00ed\u00f3\u00fa\u00fd")),
    "struck through": lambda text: "".join(f"{c}\u0336" for c in text),
    "small capitals": lambda text: text.translate(str.maketrans("abcdeghijklmnoprtuvwz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡᴢ")),
    "squares": lambda text: "".join(chr(0x1F170 + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower()),
    "letters of flags": lambda text: " ".join(chr(0x1F1E6 + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower()),
    "fillers between": "\u3164".join,
    "tags": lambda text: "".join(chr(0xE0000 + ord(c)) if " " <= c <= "~" else c for c in text),
}


@pytest.mark.parametrize("size", [1, 3, 8, 10_000])
@pytest.mark.parametrize("form", FORMS)
def test_a_canary_never_comes_out_in_any_of_these_forms(form: str, size: int) -> None:
    answer = f"Sure, here it is: {FORMS[form](CANARY)} and that is all."
    watch = LeakWatch(secrets_of(CANARY, ""))
    out = "".join(watch.feed(answer[at : at + size]) for at in range(0, len(answer), size)) + watch.end()
    assert watch.found == "canary"
    secret = plain(FORMS[form](CANARY))
    assert secret[: PREFIX + 5] not in plain(out)


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize("form", [name for name in FORMS if "after" not in name])
def test_a_system_prompt_is_stopped_before_a_sentence_of_it_is_out(form: str, size: int) -> None:
    answer = f"Sure: {FORMS[form](WITHOUT)}"
    watch = LeakWatch(secrets_of("", SYSTEM))
    out = "".join(watch.feed(answer[at : at + size]) for at in range(0, len(answer), size)) + watch.end()
    assert watch.found == "system-prompt"
    assert len(plain(out)) <= len("sure") + WATCHED


def test_a_few_of_its_words_are_no_leak_and_come_out_whole() -> None:
    answer = "I am the support assistant of Northwind Outfitters. " + WITHOUT[: RUN // 2] + "! I cancel only what you asked for."
    watch = LeakWatch(secrets_of(CANARY, SYSTEM))
    out = "".join(watch.feed(letter) for letter in answer) + watch.end()
    assert (out, watch.found) == (answer, "")


def test_canaries_differ_by_release_prompt_and_secret_but_not_by_worker() -> None:
    made = {canary(secret, release, prompt) for secret in (b"a", b"b") for release in ("1", "2") for prompt in ("p", "q")}
    assert len(made) == 8
    assert canary(b"a", "1", "p") in made
    assert all(len(word) == 20 and word.isalpha() for word in made)


@pytest.mark.parametrize(("action", "stopped"), [("log", False), ("flag", False), ("block", True)])
def test_policy_says_whether_a_leak_stops_the_answer(action: str, stopped: bool) -> None:
    outgoing = Outgoing(Links(frozenset()), {"canary": action}, canary=CANARY)  # type: ignore[dict-item] # one of the four
    answer = f"It is {CANARY}, and that is all."
    out: list[str] = []
    with pytest.raises(AnswerWithheld) if stopped else nullcontext():
        out += [outgoing.feed(letter) for letter in answer]
        out.append(outgoing.end())
    assert outgoing.found == ["canary"]
    assert (CANARY in "".join(out)) is not stopped


_CODES = """
    .- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
    ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
"""
MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789", _CODES.split(), strict=True))
UPSIDE_DOWN = str.maketrans(
    "abcdefghijkmnpqrtuvwy",
    "\u0250q\u0254p\u01dd\u025f\u0183\u0265\u1d09\u027e\u029e\u026fudb\u0279\u0287n\u028c\u028d\u028e",
)
OTHERWISE: dict[str, Callable[[str], str]] = {
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "ASCII85": lambda text: base64.a85encode(text.encode()).decode(),
    "octal": lambda text: " ".join(f"{code:03o}" for code in text.encode()),
    "binary": lambda text: " ".join(f"{code:08b}" for code in text.encode()),
    "decimal": lambda text: ", ".join(str(code) for code in text.encode()),
    "hexadecimal of base64": lambda text: base64.b64encode(text.encode()).hex(),
    "a letter a line": "\n".join,
    "a numbered letter a line": lambda text: "\n".join(f"{at}. {letter}" for at, letter in enumerate(text)),
    "shifted by three": lambda text: "".join(
        chr((ord(c) - 94) % 26 + 97) if c.isascii() and c.isalpha() else c for c in text.lower()
    ),
    "character references": lambda text: "".join(f"&#{ord(c)};" for c in text),  # a page shows them as the text
    "escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "digits for letters": lambda text: text.lower().translate(str.maketrans("oieast", "013457")),
    "words from the last": lambda text: " ".join(text.split()[::-1]),
    "each word backwards": lambda text: " ".join(word[::-1] for word in text.split()),
    "selectors behind an emoji": lambda text: (
        "\U0001f600" + "".join(chr(0xFE00 + b) if b < 16 else chr(0xE0100 + b - 16) for b in text.encode())
    ),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "Morse": lambda text: " ".join(MORSE[c] for c in plain(text)),
    "Morse with words": lambda text: " / ".join(" ".join(MORSE[c] for c in plain(word)) for word in text.split() if plain(word)),
    "Morse in print": lambda text: "  ".join(MORSE[c].translate({45: "\u2212", 46: "\u00b7"}) for c in plain(text)),
    "upside down": lambda text: text.lower().translate(UPSIDE_DOWN),
    "upside down from the right": lambda text: text.lower().translate(UPSIDE_DOWN)[::-1],
    "a letter between": "x".join,
    "a letter between those of a word": lambda text: " ".join("q".join(word) for word in text.split()),
    "other letters between": lambda text: "".join(f"{c}{'zebra'[at % 5]}" for at, c in enumerate(plain(text))),
    "mirrored": lambda text: "".join(chr(219 - ord(c)) if c.isascii() and c.isalpha() else c for c in text.lower()),
}


@pytest.mark.parametrize("size", [7, 100_000])
@pytest.mark.parametrize("form", OTHERWISE)
def test_what_is_spelled_otherwise_is_seen_at_the_end(form: str, size: int) -> None:
    for secrets, secret in ((secrets_of(CANARY, ""), CANARY), (secrets_of("", SYSTEM), WITHOUT)):
        answer = f"Sure, here it is:\n{OTHERWISE[form](secret)}\nand that is all."
        watch = LeakWatch(secrets)
        for at in range(0, len(answer), size):
            watch.feed(answer[at : at + size])
        watch.end()
        assert watch.found, form


@pytest.mark.parametrize("between", ["\npart {}: ", "[xx]", " (and so on, {}) "])
def test_a_system_prompt_in_pieces_is_stopped_before_much_of_it_is_out(between: str) -> None:
    pieces = [SYSTEM[at : at + 25] for at in range(0, len(SYSTEM), 25)]
    answer = "Sure. " + "".join(f"{between.format(at)}{piece}" for at, piece in enumerate(pieces))
    watch = LeakWatch(secrets_of("", SYSTEM))
    out = "".join(watch.feed(answer[at : at + 5]) for at in range(0, len(answer), 5)) + watch.end()
    assert watch.found == "system-prompt"
    assert sum(len(plain(piece)) for piece in pieces if plain(piece) in plain(out)) <= MOST_IN_PIECES


def test_a_document_whose_escapes_spell_the_system_prompt_is_withheld() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in WITHOUT)
    outgoing = Outgoing(Links(frozenset()), {"system-prompt": "block"}, system=SYSTEM, output=OutputSchema("t", {}))
    document = Text(f'{{"summary": "{escaped}"}}')
    with pytest.raises(AnswerWithheld):
        outgoing.reply(Reply(parts=(document,), stop="end", usage=Usage(), provider="p", model="m"))


def test_a_text_that_ends_at_every_tool_call_is_read_in_other_spellings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a long answer with many tool calls keeps a worker busy for half a minute."""
    read: list[str] = []

    def readings(text: str) -> tuple[str, ...]:
        read.append(text)
        return ()

    monkeypatch.setattr(leaks, "readings", readings)
    watch = LeakWatch(secrets_of(CANARY, SYSTEM))
    watch.feed("Nothing that is secret. ")
    for _ in range(3):
        watch.end()
    watch.feed("More of it.")
    watch.end()
    assert read == ["Nothing that is secret. ", "Nothing that is secret. More of it."]


class _Counting(dict[str, int]):
    """Counts what is looked up."""

    lookups = 0

    def get(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - as the dictionary's
        self.lookups += 1
        return super().get(key, default)


def test_a_text_without_a_word_of_the_prompt_is_passed_over_in_steps() -> None:
    """V3: each place was looked up, and a letter in a megabyte of Arabic ligatures stood for eighteen."""
    known = secrets_of(CANARY, SYSTEM)
    pieces = _Counting(known.pieces)
    watch = LeakWatch(replace(known, pieces=pieces))
    watch.feed("0123456789" * 1_000)
    assert pieces.lookups == 0
    assert len(plain("\ufdfa" * 1_000)) == 3_000


@pytest.mark.parametrize("begin", range(STEP))
def test_a_piece_counts_wherever_it_begins(begin: int) -> None:
    watch = LeakWatch(secrets_of("", SYSTEM))
    watch.feed("0" * begin + plain(SYSTEM)[100 : 100 + PIECE])
    assert len(watch._given_away) == PIECE


def test_of_a_long_system_prompt_as_much_is_watched_in_every_script() -> None:
    """V3: one of 32,000 Chinese letters, in seven forms, took 0.6 s and a hundred megabytes."""
    joined = [len(secrets_of("", letter * 100_000).joined) for letter in "a\u6f22\U0001f1e6"]
    assert max(joined) < 10 * MOST_WATCHED


def test_callers_that_send_ever_other_system_texts_do_not_fill_the_memory() -> None:
    """V3: sixty-four of 16 KB were remembered, each with 27 MB of what is looked up."""
    texts = [f"{number} {SYSTEM}".ljust(MOST_WATCHED, "x") for number in range(8)]
    known = [secrets_of(CANARY, text) for text in texts]
    assert secrets_of(CANARY, texts[-1]) is known[-1]
    assert secrets_of(CANARY, texts[0]) is not known[0]
    assert sum(map(len, (text for _, text in leaks._remembered))) <= leaks.MOST_REMEMBERED


def test_the_letters_of_a_text_are_worked_out_once_for_all_of_its_readings() -> None:
    """V3: of 50,000 characters that were nearly all different, those took six times as long."""
    leaks._of_char.cache_clear()
    letters = "".join(map(chr, range(0x4E00, 0x9E00)))
    watch = LeakWatch(secrets_of(CANARY, SYSTEM))
    watch.feed(letters)
    watch.end()
    assert leaks._of_char.cache_info().misses < 1.1 * len(letters)
