// OpenAI's Agents SDK for JavaScript, on chat completions and on Responses, its default.
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { KEY, LONG, PERSON, URL_, capability, fails, holds, main, same, script } from "./capability.mjs";

setTracingDisabled(true);
const client = (key = KEY) => new OpenAI({ apiKey: key, baseURL: `${URL_}/v1`, maxRetries: 0 });
const Person = z.object({ name: z.string(), age: z.number() });
const TWO_STEPS = script({ call: [["weather", { city: "Oslo" }]] }, { say: "done: %results%" });
const runner = new Runner({ tracingDisabled: true });

function tools(called) {
  const weather = tool({
    name: "weather",
    description: "The weather.",
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => `${city} is sunny${called.push(city) ? "" : ""}`,
  });
  const clock = tool({ name: "clock", description: "The time.", parameters: z.object({}), execute: async () => `noon${called.push("noon") ? "" : ""}` });
  return [weather, clock];
}

for (const [way, Model] of [
  ["chat", OpenAIChatCompletionsModel],
  ["responses", OpenAIResponsesModel],
]) {
  const agent = (name = "fast", more = {}, key = KEY) => new Agent({ name: "a", model: new Model(client(key), name), ...more });
  const ask = async (text, name, more) => (await runner.run(agent(name, more), text)).finalOutput;
  const stream = async (text, name, more) => {
    const result = await runner.run(agent(name, more), text, { stream: true });
    const pieces = [];
    for await (const piece of result.toTextStream()) pieces.push(piece);
    await result.completed;
    return [result.finalOutput, pieces];
  };

  capability("text", way, async () => same(await ask(script({ say: "Hello." })), "Hello."));

  capability("stream", way, async () => {
    const [, pieces] = await stream(script({ say: LONG }));
    same([pieces.join(""), pieces.length > 5], [LONG, true]);
  });

  capability("usage", way, async () => {
    const result = await runner.run(agent(), script({ say: LONG }));
    const usage = result.rawResponses[0].usage;
    same([usage.inputTokens > 10, usage.outputTokens > 10], [true, true]);
  });

  capability("system", way, async () => same(await ask(script({ say: "%system%" }), "fast", { instructions: "Be brief." }), "Be brief."));

  capability("other vendor", way, async () => same(await ask(script({ say: "across" }), "smart"), "across"));

  capability("tool loop", way, async () => {
    const called = [];
    same([await ask(TWO_STEPS, "fast", { tools: tools(called) }), called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("streamed tool loop", way, async () => {
    const called = [];
    same([(await stream(TWO_STEPS, "fast", { tools: tools(called) }))[0], called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("tools of the other vendor", way, async () => {
    const called = [];
    same([(await stream(TWO_STEPS, "smart", { tools: tools(called) }))[0], called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("parallel tools", way, async () => {
    const called = [];
    const text = script({ call: [["weather", { city: "Oslo" }], ["clock", {}]] }, { say: "%results%" });
    same([await ask(text, "fast", { tools: tools(called) }), called.sort()], ["Oslo is sunny | noon", ["Oslo", "noon"]]);
  });

  capability("agent", way, async () => {
    const called = [];
    const steps = ["A", "B", "C", "D", "E"].map((city) => ({ call: [["weather", { city }]] }));
    same([await ask(script(...steps, { say: "done" }), "fast", { tools: tools(called) }), called], ["done", ["A", "B", "C", "D", "E"]]);
  });

  capability("schema", way, async () => same(await ask(script({ object: PERSON }), "fast", { outputType: Person }), PERSON));

  capability("bad key", way, async () => holds((await fails(() => runner.run(agent("fast", {}, "wrong"), "hi"))).status, "401"));

  capability("unknown model", way, async () => holds((await fails(() => runner.run(agent("nope"), "hi"))).status, "404"));
}

await main();
