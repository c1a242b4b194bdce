"""Finds the place in the runbook for words that a person has: a symptom, an alert, an error's code or type (K1).

A topic is a page with what is done first, or one of its other sections. Words count by where they stand (an alert's name
and `Words:` most, a text least) and by how few topics have them (BM25F: Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009). A phrase of `Words:` counts more where it is said in one piece, and most where nothing else is said. The
service's own words, in `Errors:`, count in one piece alone: each of them stands in many sentences of callers. Its codes decide.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from app.oncall.runbook.pages import FORM, GENERATED, MANUAL, Page, Section

TITLE, WORDS, ALERT, SYMPTOM, TEXT = 4.0, 5.0, 12.0, 3.0, 0.5
SATURATION = 4.0  # a word that stands everywhere in a topic counts no more than so many times
CHANCE = 0.5  # what words count that stand in texts alone
LEAST = 2.0  # weight from which a word of a topic is no chance
COVERED = 1.5  # a topic that has two thirds of what was said, by rarity, counts whole; one with less, as much less
SENTENCE = 4  # words of which one alone is chance
PHRASE = 1.5  # for each word of a phrase of `Words:` that is said in one piece
WHOLE = 3.0  # where all that is said is an entry of `Words:`, one word or more
CODE = 30.0  # for an error's code of `Errors:`: it has one meaning, and words have many
EXACT = 1_000.0  # above every sum of words
SURE = 1.5  # the least score of a place that the words surely lead to; titles of public incidents have 1.8 and more
NEAR = 0.8  # likeness at which a word that no topic has is taken for a slip of the finger
FIRST_STEPS = "The first five minutes"
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_ERRORS = re.compile(r"^Errors: .*$", re.MULTILINE)
_CODE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
# Names under which people speak of a provider. The pages say "provider", or name one as an example: no vendor is favoured.
VENDORS = frozenset(
    _WORD.findall(
        """
        anthropic azure bedrock cerebras chatgpt claude cohere deepseek fireworks gemini gpt groq haiku litellm llama mistral
        ollama openai openrouter opus perplexity sonnet vertex vllm xai
        """
    )
)
_COMMON = frozenset(
    _WORD.findall(
        """
        a an and are as at be been by for from has have in into is it its no not of on or our s so than that
        the their then there they this to us was we were when which while will with you your can cannot all
        any after before during due some since do does did i my me he she him his if but about how what who
        why would could should now just got am someone anyone
        """
    )
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ness", "ies", "ed", "es", "ly", "s", "e", "y")


@dataclass(frozen=True, slots=True)
class Topic:
    """A place to go to. ``sections``: the texts that belong to it, the first with its heading."""

    page: Page
    sections: tuple[Section, ...]

    @property
    def address(self) -> str:
        """The file, and the section where it is not the whole page."""
        first = self.sections[0]
        return f"runbook/{self.page.name}" + ("" if first.level == 1 else f"#{first.anchor}")

    @property
    def title(self) -> str:
        """Its heading; of a section with the page's before it."""
        first = self.sections[0]
        return first.title if first.level == 1 else f"{self.page.title}: {first.title}"


@dataclass(frozen=True, slots=True)
class _Counted:
    """A topic's words with what each counts, its phrases in one piece, and its errors' codes."""

    weights: Counter[str]
    phrases: frozenset[str]
    codes: frozenset[str]


def find(pages: Sequence[Page], wanted: str, providers: Collection[str] = ()) -> list[tuple[float, Topic]]:
    """The topics that fit, best first, with their scores; none where no word fits. Below `SURE` the first is a guess.

    ``providers``: names that mean a provider, besides those of `VENDORS`.
    """
    topics = tuple(topics_of(pages))
    counted, seen_in = _counted(topics)
    impartial = _impartial(wanted, _unmistakable(providers, seen_in))
    asked, said = list(dict.fromkeys(tokens(impartial))), in_one_piece(impartial)
    codes = frozenset(_CODE.findall(wanted.lower()))
    words = _known(asked, seen_in)
    rarity = {word: _rarity(seen_in[word], len(topics)) for word in words}
    whole = sum(rarity.values()) + _rarity(0, len(topics)) * (len(asked) - len(words))

    alone = len(asked) == 1 and len(_words_of(wanted)) >= SENTENCE  # of "someone who did not build it" one word says something

    def score(topic: Topic, each: _Counted) -> float:
        weights = each.weights
        parts = {word: rarity[word] * weights[word] / (weights[word] + SATURATION) for word in words}
        strong = sum(rarity[word] for word in words if weights[word] >= LEAST)
        # One rare word of many is chance: "transfer money to an unknown account" is not about a vendor's account.
        covered = min(1.0, COVERED * strong / whole) if strong else CHANCE * len(words) / max(1, len(asked))
        covered *= CHANCE if alone else 1.0
        named = CODE * len(codes & each.codes) + EXACT * _is_named(topic, wanted)
        return sum(parts.values()) * covered + _said(each.phrases, said) + named

    scored = ((score(topic, each), topic) for topic, each in zip(topics, counted, strict=True))
    return sorted((one for one in scored if one[0] > 0), key=lambda one: -one[0])


def unmistakable(pages: Sequence[Page], providers: Collection[str]) -> list[str]:
    """The names that mean a provider wherever they stand. One that is a word of the pages, such as "slow", means that word."""
    return _unmistakable(providers, _counted(tuple(topics_of(pages)))[1])


def _unmistakable(providers: Collection[str], vocabulary: Counter[str]) -> list[str]:
    return [name for name in providers if name.lower() in VENDORS or not _is_word(name, vocabulary)]


def _is_word(name: str, vocabulary: Counter[str]) -> bool:
    said = _words_of(name)
    return len(said) == 1 and (said[0] in _COMMON or _stem(said[0]) in vocabulary)


def says_nothing(wanted: str) -> bool:
    """Whether the words are small ones alone, such as "the": no topic can be found by them, unless it lists them as a phrase."""
    return not tokens(wanted)


def _said(phrases: frozenset[str], said: str) -> float:
    """What the phrases of two words or more count that are said in one piece, and an entry that is all that is said."""
    within = sum(phrase.count(" ") - 1 for phrase in phrases if phrase.count(" ") > 2 and phrase in said)
    return PHRASE * within + WHOLE * (said.strip() != "" and said in phrases)


def in_one_piece(text: str) -> str:
    """All words of a text without their endings, small ones too, with blanks around each."""
    return f" {' '.join(map(_stem, _words_of(text)))} "


def _impartial(wanted: str, providers: Collection[str]) -> str:
    """The words with each vendor's name as "provider"."""
    names = "|".join(sorted((re.escape(name.lower()) for name in VENDORS.union(providers)), key=len, reverse=True))
    return re.sub(rf"(?<![a-z0-9])(?:{names}|open ai)(?![a-z0-9])", "provider", wanted, flags=re.IGNORECASE)


def _is_named(topic: Topic, wanted: str) -> bool:
    """Whether the words are the name of its page, or of an alert that it ends."""
    name, first = wanted.strip(), topic.sections[0]
    if any(name in section.alerts for section in topic.sections):
        return True
    return first.level == 1 and "-".join(name.lower().split()) == topic.page.name.removesuffix(".md")


def topics_of(pages: Sequence[Page]) -> Iterator[Topic]:
    """The places to go to. Generated pages and the manual of the form are none."""
    for page in pages:
        if page.name == GENERATED:
            continue
        followed = any(section.title == FORM[0] for section in page.sections)
        own = [s for s in page.sections if s.level == 1 or (followed and s.title in FORM) or s.title == FIRST_STEPS]
        yield Topic(page, tuple(own))
        yield from (Topic(page, (section,)) for section in page.sections if section not in own and section.title != MANUAL)


def tokens(text: str) -> list[str]:
    """The words of a text that say something, without their endings; of names in code the parts as well."""
    return [_stem(word) for word in _words_of(text) if word not in _COMMON]


def _words_of(text: str) -> list[str]:
    return _WORD.findall(_CAMEL.sub(" ", text).lower().replace("'", ""))


@lru_cache(maxsize=1)
def _counted(topics: tuple[Topic, ...]) -> tuple[list[_Counted], Counter[str]]:
    """What is known of each topic, and how many topics have a word. Kept until the pages change: it is nearly all of a search."""
    counted = [_counted_of(topic) for topic in topics]
    return counted, Counter(word for each in counted for word in each.weights)


def _counted_of(topic: Topic) -> _Counted:
    words, errors = topic.sections[0].words.split(","), topic.sections[0].errors.split(",")
    codes = frozenset(filter(_CODE.fullmatch, map(str.strip, errors)))
    return _Counted(_weights(topic), frozenset(map(in_one_piece, [*words, *errors])), codes)


def _weights(topic: Topic) -> Counter[str]:
    """How much each word of a topic counts."""
    found: Counter[str] = Counter()
    page, first = topic.page, topic.sections[0]

    def add(text: str, weight: float) -> None:
        for word in tokens(text):
            found[word] += weight  # type: ignore[assignment] # typeshed counts whole numbers

    add(first.title, TITLE)
    add(first.words, WORDS)
    if first.level == 1:
        add(page.name.removesuffix(".md"), 2 * TITLE)
    for section in topic.sections:
        add(_ERRORS.sub("", section.text), TEXT)
        add(" ".join(section.alerts), ALERT)
    if first.level == 1:
        add(f"{page.paragraph('Symptom')} {page.paragraph('Fault')}", SYMPTOM)
    return found


def _known(words: Sequence[str], vocabulary: Counter[str]) -> list[str]:
    """The words that topics have; for each other one the likest, if one is near."""
    return [near for word in words for near in ([word] if word in vocabulary else _likest(word, vocabulary))]


def _likest(word: str, vocabulary: Counter[str]) -> list[str]:
    return get_close_matches(word, [other for other in vocabulary if other[:1] == word[:1]], n=1, cutoff=NEAR)


def _rarity(topics: int, all_topics: int) -> float:
    return math.log(1 + (all_topics - topics + 0.5) / (topics + 0.5))


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
