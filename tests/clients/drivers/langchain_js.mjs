// LangChain.js and its agents: OpenAI's chat completions and Responses, and Anthropic's messages.
import { ChatAnthropic } from "@langchain/anthropic";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { EMBEDDER, KEY, LONG, PERSON, PNG, URL_, capability, fails, holds, main, same, script, thumb } from "./capability.mjs";

const configuration = { baseURL: `${URL_}/v1` };
const chat = (model = "fast", more = {}) => new ChatOpenAI({ model, apiKey: KEY, configuration, maxRetries: 0, ...more });
const responses = (model = "fast", more = {}) => chat(model, { useResponsesApi: true, ...more });
const claude = (model = "smart", more = {}) => new ChatAnthropic({ model, apiKey: KEY, anthropicApiUrl: URL_, maxTokens: 1500, maxRetries: 0, ...more });
const Person = z.object({ name: z.string(), age: z.number() });
const TWO_STEPS = script({ call: [["weather", { city: "Oslo" }]] }, { say: "done: %results%" });

function tools(called) {
  const weather = tool(({ city }) => `${city} is sunny${called.push(city) ? "" : ""}`, {
    name: "weather",
    description: "The weather.",
    schema: z.object({ city: z.string() }),
  });
  const clock = tool(() => `noon${called.push("noon") ? "" : ""}`, { name: "clock", description: "The time.", schema: z.object({}) });
  return [weather, clock];
}

async function run(model, text, called) {
  const agent = createAgent({ model, tools: tools(called) });
  return (await agent.invoke({ messages: [{ role: "user", content: text }] })).messages.at(-1).text;
}

async function streamed(model, text, called) {
  const agent = createAgent({ model, tools: tools(called) });
  let last = "";
  for await (const [message] of await agent.stream({ messages: [{ role: "user", content: text }] }, { streamMode: "messages" })) {
    if (message.getType() === "ai") last = message.tool_call_chunks?.length || message.tool_calls?.length ? "" : last + message.text;
  }
  return last;
}

for (const [way, make, other] of [
  ["chat", chat, "smart"],
  ["responses", responses, "smart"],
  ["messages", claude, "fast"],
]) {
  capability("text", way, async () => same((await make().invoke(script({ say: "Hello." }))).text, "Hello."));

  capability("stream", way, async () => {
    const pieces = [];
    for await (const piece of await make().stream(script({ say: LONG }))) if (piece.text) pieces.push(piece.text);
    same([pieces.join(""), pieces.length > 5], [LONG, true]);
  });

  capability("usage", way, async () => {
    const whole = (await make().invoke(script({ say: LONG }))).usage_metadata;
    let last;
    for await (const piece of await make().stream(script({ say: LONG }))) last = last ? last.concat(piece) : piece;
    for (const usage of [whole, last.usage_metadata]) same([usage.input_tokens > 10, usage.output_tokens > 10], [true, true]);
  });

  capability("system", way, async () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: script({ say: "%system%" }) },
    ];
    same((await make().invoke(messages)).text, "Be brief.");
  });

  capability("other vendor", way, async () => same((await make(other).invoke(script({ say: "across" }))).text, "across"));

  capability("tool loop", way, async () => {
    const called = [];
    same([await run(make(), TWO_STEPS, called), called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("streamed tool loop", way, async () => {
    const called = [];
    same([await streamed(make(), TWO_STEPS, called), called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("tools of the other vendor", way, async () => {
    const called = [];
    same([await streamed(make(other), TWO_STEPS, called), called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("parallel tools", way, async () => {
    const called = [];
    const text = script({ call: [["weather", { city: "Oslo" }], ["clock", {}]] }, { say: "%results%" });
    same([await run(make(), text, called), called.sort()], ["Oslo is sunny | noon", ["Oslo", "noon"]]);
  });

  capability("agent", way, async () => {
    const called = [];
    const steps = ["A", "B", "C", "D", "E"].map((city) => ({ call: [["weather", { city }]] }));
    same([await run(make(), script(...steps, { say: "done" }), called), called], ["done", ["A", "B", "C", "D", "E"]]);
  });

  capability("schema", way, async () => {
    for (const method of way === "messages" ? ["functionCalling"] : ["functionCalling", "jsonSchema"]) {
      same(await make().withStructuredOutput(Person, { name: "person", method }).invoke(script({ object: PERSON })), PERSON);
    }
  });

  capability("image", way, async () => {
    const content = [
      { type: "text", text: script({ say: "%saw%" }) },
      { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
    ];
    same((await make().invoke([{ role: "user", content }])).text, `image ${thumb(PNG)}`);
  });

  capability("bad key", way, async () => {
    const error = await fails(() => make(undefined, { apiKey: "wrong" }).invoke("hi"));
    holds(error.status ?? error.message, "401");
  });

  capability("unknown model", way, async () => {
    const error = await fails(() => make("nope").invoke("hi"));
    holds(error.status ?? error.message, "404");
  });
}

capability("embeddings", "embeddings", async () => {
  const embedder = new OpenAIEmbeddings({ model: EMBEDDER, apiKey: KEY, configuration, maxRetries: 0 });
  const [one, two, again] = await embedder.embedDocuments(["one", "two", "one"]);
  same([one, JSON.stringify(one) === JSON.stringify(two)], [again, false]);
});

await main();
