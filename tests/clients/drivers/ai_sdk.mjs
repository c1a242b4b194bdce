// Vercel's AI SDK, versions 6 and 7: its providers for OpenAI (chat and Responses), Anthropic and compatible servers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { z } from "zod";
import { EMBEDDER, KEY, LONG, PDF, PERSON, PNG, URL_, capability, control, eventually, fails, holds, main, same, script, thumb } from "./capability.mjs";

const openai = createOpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY });
const anthropic = createAnthropic({ baseURL: `${URL_}/v1`, apiKey: KEY });
const compatible = createOpenAICompatible({ name: "octant", baseURL: `${URL_}/v1`, apiKey: KEY, supportsStructuredOutputs: true, includeUsage: true });
const Person = z.object({ name: z.string(), age: z.number() });
const TWO_STEPS = script({ call: [["weather", { city: "Oslo" }]] }, { say: "done: %results%" });
const OPTIONS = { maxRetries: 0, maxOutputTokens: 1500 };
const onError = ({ error }) => process.env.OCTANT_TRACE && console.error(error);

function tools(called) {
  const weather = ai.tool({
    description: "The weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `${city} is sunny${called.push(city) ? "" : ""}`,
  });
  const clock = ai.tool({ description: "The time.", inputSchema: z.object({}), execute: async () => `noon${called.push("noon") ? "" : ""}` });
  return { weather, clock };
}

const loop = { stopWhen: (ai.stepCountIs ?? ai.isStepCount)(10) };

for (const [way, model, other] of [
  ["chat", openai.chat("fast"), openai.chat("smart")],
  ["messages", anthropic("smart"), anthropic("fast")],
  ["responses", openai("fast"), openai("smart")],
  ["compatible", compatible("fast"), compatible("smart")],
]) {
  const ask = (prompt, more = {}) => ai.generateText({ model, prompt, ...OPTIONS, ...more });
  const stream = (prompt, more = {}) => ai.streamText({ model, prompt, ...OPTIONS, onError, ...more });

  capability("text", way, async () => {
    const answer = await ask(script({ say: "Hello, Ünïcode 🌍." }));
    same([answer.text, answer.finishReason], ["Hello, Ünïcode 🌍.", "stop"]);
  });

  capability("stream", way, async () => {
    const pieces = [];
    for await (const piece of stream(script({ say: LONG })).textStream) pieces.push(piece);
    same([pieces.join(""), pieces.length > 5], [LONG, true]);
  });

  capability("usage", way, async () => {
    for (const usage of [(await ask(script({ say: LONG }))).usage, await stream(script({ say: LONG })).usage]) {
      holds(usage.inputTokens > 10 && usage.outputTokens > 10, "true");
    }
  });

  capability("system", way, async () => {
    const instructions = ai.isStepCount && !ai.stepCountIs ? { instructions: "Be brief." } : { system: "Be brief." };
    same((await ask(script({ say: "%system%" }), instructions)).text, "Be brief.");
  });

  capability("other vendor", way, async () => same((await ai.generateText({ model: other, prompt: script({ say: "across" }), ...OPTIONS })).text, "across"));

  capability("tool loop", way, async () => {
    const called = [];
    same([(await ask(TWO_STEPS, { tools: tools(called), ...loop })).text, called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("streamed tool loop", way, async () => {
    const called = [];
    same([await stream(TWO_STEPS, { tools: tools(called), ...loop }).text, called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("tools of the other vendor", way, async () => {
    const called = [];
    same([await stream(TWO_STEPS, { model: other, tools: tools(called), ...loop }).text, called], ["done: Oslo is sunny", ["Oslo"]]);
  });

  capability("parallel tools", way, async () => {
    const called = [];
    const text = script({ say: "Both.", call: [["weather", { city: "Oslo" }], ["clock", {}]] }, { say: "%results%" });
    same([await stream(text, { tools: tools(called), ...loop }).text, called], ["Oslo is sunny | noon", ["Oslo", "noon"]]);
  });

  capability("agent", way, async () => {
    const called = [];
    const steps = [0, 1, 2, 3, 4].map((n) => ({ say: `Step ${n}.`, call: [["weather", { city: `City ${n}` }]] }));
    const text = await stream(script(...steps, { say: "%results%" }), { tools: tools(called), ...loop }).text;
    same([called.length, text], [5, [0, 1, 2, 3, 4].map((n) => `City ${n} is sunny`).join(" | ")]);
  });

  capability("invalid call", way, async () => {
    const result = stream(script({ call: [["weather", { town: 1 }]] }, { say: "sorry" }), { tools: tools([]), ...loop });
    const steps = await result.steps;
    const { invalid, input } = steps[0].toolCalls[0];
    same([invalid, input, steps[0].finishReason, steps.at(-1).text], [true, { town: 1 }, "tool-calls", "sorry"]);
  });

  capability("schema", way, async () => {
    same((await ask(script({ object: PERSON }), { output: ai.Output.object({ schema: Person }) })).output, PERSON);
    if (ai.generateObject) same((await ai.generateObject({ model, prompt: script({ object: PERSON }), schema: Person, ...OPTIONS })).object, PERSON);
  });

  capability("streamed schema", way, async () => {
    const result = stream(script({ object: PERSON }), { output: ai.Output.object({ schema: Person }) });
    same(await result.output, PERSON);
  });

  const media = async (part) => (await ai.generateText({ model, messages: [{ role: "user", content: [part, { type: "text", text: script({ say: "%saw%" }) }] }], ...OPTIONS })).text;
  capability("image", way, async () => same(await media({ type: "image", image: `data:image/png;base64,${PNG}` }), `image ${thumb(PNG)}`));
  capability("pdf", way, async () => {
    same(await media({ type: "file", mediaType: "application/pdf", data: Buffer.from(PDF, "base64"), filename: "a.pdf" }), `document ${thumb(PDF)}`);
  });

  capability("cut text", way, async () => same((await ask(script({ say: "half of this", cut: true }))).finishReason, "length"));

  capability("unknown model", way, async () => {
    const unknown = { chat: openai.chat, messages: anthropic, responses: openai, compatible }[way]("no-such-model");
    const error = await fails(() => ai.generateText({ model: unknown, prompt: "hi", ...OPTIONS }));
    same([ai.APICallError.isInstance(error), error.statusCode], [true, 404]);
    holds(error.responseBody, way === "messages" ? "not_found_error" : "model_not_found");
  });

  capability("abort", way, async () => {
    const text = `abort ${Math.random()} ${LONG}`;
    await control("left");
    const controller = new AbortController();
    try {
      for await (const _ of stream(script({ say: text, pause: 0.2 }), { abortSignal: controller.signal }).textStream) controller.abort();
    } catch {
      // a version may raise, another ends the stream
    }
    await eventually(async () => (await control("left")).includes(text));
  });
}

const think = { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } };
capability("thinking", "messages", async () => {
  const called = [];
  const text = script({ think: "I need it.", call: [["weather", { city: "Oslo" }]] }, { think: "So.", say: "%results%" });
  const more = { tools: tools(called), ...loop, providerOptions: think };
  const whole = await ai.generateText({ model: anthropic("smart"), prompt: text, ...OPTIONS, ...more });
  same([whole.text, whole.steps[0].reasoningText], ["Oslo is sunny", "I need it."]);
  const streamed = ai.streamText({ model: anthropic("smart"), prompt: text, ...OPTIONS, ...more, onError });
  same([await streamed.text, called], ["Oslo is sunny", ["Oslo", "Oslo"]]);
});

capability("cache", "messages", async () => {
  const providerOptions = { anthropic: { cacheControl: { type: "ephemeral" } } };
  const kept = Math.random() + LONG.repeat(4);
  const turn = (say) => [{ role: "user", content: [{ type: "text", text: kept, providerOptions }, { type: "text", text: script({ say }) }] }];
  const first = await ai.generateText({ model: anthropic("smart"), messages: turn("one"), ...OPTIONS });
  const second = await ai.generateText({ model: anthropic("smart"), messages: turn("two"), ...OPTIONS });
  const read = second.usage.inputTokenDetails?.cacheReadTokens ?? second.usage.cachedInputTokens;
  holds(read > 100, "true");
  same(first.text, "one");
});

capability("parameters", "chat", async () => {
  const openaiOptions = { textVerbosity: "low", reasoningEffort: "low", user: "ada", parallelToolCalls: true };
  same((await ai.generateText({ model: openai.chat("fast"), prompt: script({ say: "fine" }), providerOptions: { openai: openaiOptions }, ...OPTIONS })).text, "fine");
});

capability("logprobs", "chat", async () => {
  const answer = await ai.generateText({ model: openai.chat("fast"), prompt: script({ say: "likely" }), providerOptions: { openai: { logprobs: 2 } }, ...OPTIONS });
  same(answer.providerMetadata.openai.logprobs.map((t) => t.token).join(""), "likely");
});

for (const [way, made] of [["embeddings", openai.embedding?.(EMBEDDER) ?? openai.embeddingModel(EMBEDDER)]]) {
  capability("embeddings", way, async () => {
    const { embeddings } = await ai.embedMany({ model: made, values: ["one", "two", "one"], maxRetries: 0 });
    same(embeddings[0], embeddings[2]);
    holds(JSON.stringify(embeddings[0]) !== JSON.stringify(embeddings[1]), "true");
  });
}

await main();
