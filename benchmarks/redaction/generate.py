"""Runs in a virtual environment of its own: sentences with labelled values, by `presidio-evaluator`'s generator as it is shipped.

The package (MIT) brings templates, formats of phone numbers, and identities of fakenamegenerator.com (CC BY-SA 3.0 US); Faker
(MIT) brings the rest. They are read where they are installed, and nothing of them is kept in this repository. The package also
imports models that generating does not use; empty modules stand in for them, which saves a gigabyte and the network.
"""

import argparse
import json
import re
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

UNUSED = ("spacy", "spacy.language", "spacy.tokens", "spacy.training", "presidio_analyzer", "presidio_anonymizer", "dotenv")
LOCALES = (
    "en_GB",
    "de_DE",
    "fr_FR",
    "es_ES",
    "it_IT",
    "nl_NL",
    "pt_BR",
    "pl_PL",
    "sv_SE",
    "da_DK",
    "fi_FI",
    "en_AU",
    "en_CA",
    "en_IN",
)
ADDRESS_PARTS = r"secondary_address|state_abbr|building_number|zipcode|postcode"  # not every country's Faker has them
# Values of order desks that belong to no person, by Faker; the names of its providers set them apart from personal data.
DECOYS = {
    "ean13": "article {}",
    "ean8": "article {}",
    "isbn13": "ISBN {}",
    "isbn10": "the book {}",
    "upc_a": "UPC {}",
    "uuid4": "request {}",
    "md5": "checksum {}",
    "sha1": "commit {}",
    "pricetag": "it costs {}",
    "iso8601": "sent {}",
    "date": "arrived on {}",
    "time": "at {}",
    "unix_time": "at {}",
    "mac_address": "device {}",
    "color": "in {}",
    "file_name": "see {}",
    "user_agent": "browser {}",
    "license_plate": "plate {}",
    "sentence": "{}",
    "catch_phrase": "{}",
    "job": "a {}",
    "numerify:NW-#####": "order {}",
    "numerify:##########": "order {}",
    "numerify:########": "order number {}",
    "numerify:############": "tracking {}",
    "numerify:T-####-######": "ticket {}",
    "bothify:??-####-##": "product {}",
    "bothify:???###": "SKU {}",
    "numerify:1Z999AA1########": "parcel {}",
}


def main() -> None:
    """Write JSON lines: ``{"text", "spans": [[start, end, entity]], "template", "set"}``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--samples", type=int, default=1500, help="sentences a seed")
    arguments = parser.parse_args()
    _stand_in()
    with arguments.out.open("w", encoding="utf-8") as out:
        for seed in arguments.seeds:
            for line in _all(seed, arguments.samples):
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _all(seed: int, samples: int) -> list[dict[str, object]]:
    """Every set: the generator's sentences, ours, secrets, and text that must stay."""
    from benchmarks.redaction.decoys import decoys
    from benchmarks.redaction.letters import letters, spelled
    from benchmarks.redaction.secret_lines import secret_lines

    each = max(1, samples // 50)
    ours = [*letters(seed, each), *spelled(seed, each // 3 + 1), *secret_lines(seed, each // 3 + 1), *decoys(seed, each)]
    return [*_sentences(seed, samples), *_elsewhere(seed, samples), *_decoys(seed), *ours]


def _stand_in() -> None:
    for name in UNUSED:
        sys.modules[name] = MagicMock()
    requests = types.ModuleType("requests")

    def get(*_: object, **__: object) -> None:
        raise OSError("the generator asks Wikidata for names of hospitals, and has a list where it cannot")

    requests.get = get  # type: ignore[attr-defined]
    sys.modules["requests"] = requests


def _sentences(seed: int, samples: int) -> list[dict[str, object]]:
    """The generator as it comes: American Faker, identities from all over the world, phone numbers of five countries."""
    return _generate("presidio", samples, locale="en_US", random_seed=seed)


def _elsewhere(seed: int, samples: int) -> list[dict[str, object]]:
    """The same templates with Faker's values for other countries, its phone numbers and national ids above all."""
    from presidio_evaluator.data_generator import presidio_additional_entity_providers as providers

    own = [p for p in providers if p.__name__ not in {"PhoneNumberProviderNew", "AddressProviderNew"}]
    each = max(1, samples // len(LOCALES))
    return [
        line
        for number, locale in enumerate(LOCALES)
        for line in _generate(
            "elsewhere",
            each,
            without=ADDRESS_PARTS,
            locale=locale,
            random_seed=seed * 100 + number,
            entity_providers=own,
            base_records=[{"none": ""}],
        )
    ]


def _generate(name: str, samples: int, without: str = "$^", **how: object) -> list[dict[str, object]]:
    from presidio_evaluator.data_generator import PresidioSentenceFaker, presidio_templates_file_path

    mapping = {**PresidioSentenceFaker.ENTITY_TYPE_MAPPING, "date_of_birth": "BIRTH_DATE", "birthday": "BIRTH_DATE"}
    templates = [line.strip().replace("\\n", "\n") for line in presidio_templates_file_path.read_text("utf-8").splitlines()]
    templates = [template for template in templates if not re.search(without, template)]
    faker = PresidioSentenceFaker(
        lower_case_ratio=0.05,
        entity_type_mapping=mapping,
        sentence_templates=templates,
        provider_aliases=PresidioSentenceFaker.PROVIDER_ALIASES,
        **how,
    )
    return [
        {
            "set": name,
            "text": sample.full_text,
            "template": sample.template_id,
            "spans": [[span.start_position, span.end_position, span.entity_type] for span in sample.spans],
        }
        for sample in faker.generate_new_fake_sentences(samples)
    ]


def _decoys(seed: int, each: int = 100) -> list[dict[str, object]]:
    from faker import Faker

    Faker.seed(seed)
    fake = Faker("en_US")
    lines: list[dict[str, object]] = []
    for provider, frame in DECOYS.items():
        method, _, pattern = provider.partition(":")
        for _ in range(each):
            value = getattr(fake, method)(pattern) if pattern else str(getattr(fake, method)())
            lines.append({"set": "decoys", "text": frame.format(value), "template": provider, "spans": []})
    return lines


if __name__ == "__main__":
    main()
