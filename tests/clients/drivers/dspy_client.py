"""DSPy: predictions by signature, with both of its adapters, and its loop around tools."""

import dspy
from capability import KEY, PERSON, URL, capability, main, same, script

dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
LMS = {
    "chat": {"model": "openai/fast", "api_base": f"{URL}/v1", "api_key": KEY, "num_retries": 0},
    "messages": {"model": "anthropic/smart", "api_base": f"{URL}/v1", "api_key": KEY, "max_tokens": 500, "num_retries": 0},
    "responses": {"model": "openai/fast", "api_base": f"{URL}/v1", "api_key": KEY, "model_type": "responses", "num_retries": 0},
}


def lm(way, **more):
    return dspy.LM(**{**LMS[way], "cache": False, **more})


def field(**values):
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"


def capabilities(way):
    @capability("text", way)
    def _():
        answer = lm(way)(script({"say": "Hello."}))[0]
        same(answer["text"] if isinstance(answer, dict) else answer, "Hello.")
        with dspy.context(lm=lm(way)):
            same(dspy.Predict("question -> answer")(question=script({"say": field(answer="Paris")})).answer, "Paris")

    @capability("schema", way)
    def _():
        with dspy.context(lm=lm(way), adapter=dspy.JSONAdapter()):
            found = dspy.Predict("question -> name: str, age: int")(question=script({"object": PERSON}))
            same((found.name, found.age), ("Ada", 36))

    @capability("usage", way)
    def _():
        with dspy.context(lm=lm(way), track_usage=True):
            used = dspy.Predict("question -> answer")(question=script({"say": field(answer="Paris")})).get_lm_usage()
        assert sum(row.get("completion_tokens") or row.get("output_tokens") or 0 for row in used.values()) > 0, used

    if way == "responses":  # its requests have no place for a script of their own
        return

    @capability("agent", way)
    def _():
        called = []

        def weather(city: str) -> str:
            """The weather of a city."""
            called.append(city)
            return f"{city} is sunny"

        first = field(next_thought="Ask.", next_tool_name="weather", next_tool_args='{"city": "Oslo"}')
        finish = field(next_thought="Done.", next_tool_name="finish", next_tool_args="{}")
        with dspy.context(lm=Scripted(way, [first, finish, field(reasoning="Asked.", answer="sunny")])):
            same(dspy.ReAct("question -> answer", tools=[weather])(question="Is it sunny in Oslo?").answer, "sunny")
        same(called, ["Oslo"])


class Scripted(dspy.LM):
    """The client's model, whose every request carries the script of its next answer."""

    def __init__(self, way, answers):
        super().__init__(**{**LMS[way], "cache": False})
        self.answers = list(answers)

    def forward(self, prompt=None, messages=None, **more):
        text = script({"say": self.answers.pop(0)})
        return super().forward(
            prompt=prompt, messages=[*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n{text}"}], **more
        )


for way_ in LMS:
    capabilities(way_)


@capability("choices")
def _():
    same(len(lm("chat", n=2, temperature=0.7)(script({"say": "two"}))), 2)


if __name__ == "__main__":
    main()
