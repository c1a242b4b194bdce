"""The command `llm`: prompts, tools, schemas and attachments on models of OpenAI's form."""

import base64
import json
import os
import subprocess
from pathlib import Path

from capability import KEY, LONG, PERSON, PERSON_SCHEMA, PNG, URL, capability, holds, main, same, script, thumb

COMMAND = Path(os.environ["CLIENT_FOLDER"]) / "bin" / "llm"
HOME = Path.home() / "llm"
HOME.mkdir()
MODELS = [
    {
        "model_id": name,
        "model_name": name,
        "api_base": f"{URL}/v1",
        "api_key_name": "octant",
        "vision": True,
        "supports_tools": True,
        "supports_schema": True,
    }
    for name in ("fast", "smart", "no-such-model")
]
(HOME / "extra-openai-models.yaml").write_text(json.dumps(MODELS))  # JSON is YAML
(HOME / "keys.json").write_text(json.dumps({"octant": KEY}))
TOOL = """
def weather(city: str) -> str:
    'The weather of a city.'
    open('called', 'a').write(city)
    return city + ' is sunny'
"""


def llm(*arguments, code=0, stdin=None):
    run = subprocess.run(
        [COMMAND, *arguments],
        env={**os.environ, "LLM_USER_PATH": str(HOME)},
        capture_output=True,
        text=True,
        input=stdin,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    return (run.stdout + run.stderr if code else run.stdout).removesuffix("\n")


@capability("text")
def _():
    same(llm("-m", "fast", "--no-stream", script({"say": "Hello, Ünïcode 🌍."})), "Hello, Ünïcode 🌍.")


@capability("stream")
def _():
    same(llm("-m", "fast", script({"say": LONG})), LONG)


@capability("usage")
def _():
    llm("-m", "fast", "-u", script({"say": LONG}))
    row = json.loads(llm("logs", "-n", "1", "--json"))[0]
    assert row["input_tokens"] > 10 < row["output_tokens"], row


@capability("system")
def _():
    same(llm("-m", "fast", "-s", "Be brief.", script({"say": "%system%"})), "Be brief.")


@capability("history")
def _():
    llm("-m", "fast", script({"say": "one"}))
    same(llm("-c", script({"say": "%turns%"})), "3")


@capability("other vendor")
def _():
    same(llm("-m", "smart", script({"say": "across"})), "across")


@capability("streamed tool loop")
def _():
    Path("called").unlink(missing_ok=True)
    text = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
    same(llm("-m", "fast", "--functions", TOOL, text), "done: Oslo is sunny")
    same(Path("called").read_text(), "Oslo")


@capability("tool loop")
def _():
    text = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
    same(llm("-m", "fast", "--no-stream", "--functions", TOOL, text), "done: Oslo is sunny")


@capability("invalid call")
def _():
    text = script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"})
    same(llm("-m", "fast", "--functions", TOOL, text), "sorry")


@capability("schema")
def _():
    same(json.loads(llm("-m", "fast", "--schema", json.dumps(PERSON_SCHEMA), script({"object": PERSON}))), PERSON)


@capability("json mode")
def _():
    same(json.loads(llm("-m", "fast", "-o", "json_object", "1", "JSON. " + script({"object": PERSON}))), PERSON)


@capability("image")
def _():
    Path("a.png").write_bytes(base64.b64decode(PNG))
    same(llm("-m", "fast", "-a", "a.png", script({"say": "%saw%"})), f"image {thumb(PNG)}")


@capability("parameters")
def _():
    options = {
        "temperature": "0.2",
        "max_tokens": "100",
        "top_p": "0.9",
        "frequency_penalty": "0.1",
        "presence_penalty": "0.1",
        "stop": "END",
        "seed": "7",
    }
    flat = [word for name, value in options.items() for word in ("-o", name, value)]
    same(llm("-m", "fast", *flat, "-o", "logit_bias", '{"1712": -100}', script({"say": "fine"})), "fine")


@capability("bad key")
def _():
    holds(llm("-m", "fast", "--key", "wrong", "hi", code=1), "401")


@capability("unknown model")
def _():
    holds(llm("-m", "no-such-model", "hi", code=1), "404")


if __name__ == "__main__":
    main()
