// The official SDK of Anthropic for Node: messages, its tool runner, counting, models.
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { KEY, LONG, PDF, PERSON, PNG, URL_, WEATHER, capability, control, eventually, fails, holds, main, same, script, thumb } from "./capability.mjs";

const client = new Anthropic({ baseURL: URL_, apiKey: KEY, maxRetries: 0 });
const [SMART, OTHER] = ["smart", "fast"]; // a model of the SDK's own vendor, and one of the other
const Person = z.object({ name: z.string(), age: z.number() });
const TOOL = { name: "weather", description: "The weather.", input_schema: WEATHER };
const CLOCK = { name: "clock", input_schema: { type: "object", properties: {} } };
const TWO_STEPS = script({ call: [["weather", { city: "Oslo" }]] }, { say: "done: %results%" });
const user = (content) => [{ role: "user", content }];
const ask = (content, more = {}) => client.messages.create({ model: SMART, max_tokens: 500, messages: user(content), ...more });
const textOf = (message) => message.content.filter((b) => b.type === "text").map((b) => b.text).join("");

capability("text", "messages", async () => {
  const answer = await ask(script({ say: "Hello, Ünïcode 🌍." }));
  same([textOf(answer), answer.stop_reason], ["Hello, Ünïcode 🌍.", "end_turn"]);
});

const streamed = (text, more = {}) => client.messages.stream({ model: SMART, max_tokens: 1500, messages: user(text), ...more });
capability("stream", "messages", async () => {
  const pieces = [];
  const stream = streamed(script({ say: LONG })).on("text", (piece) => pieces.push(piece));
  same(await stream.finalText(), LONG);
  same([pieces.join(""), pieces.length > 10], [LONG, true]);
});

capability("usage", "messages", async () => {
  const whole = (await ask(script({ say: LONG }))).usage;
  const last = (await streamed(script({ say: LONG })).finalMessage()).usage;
  same([last.input_tokens, last.output_tokens], [whole.input_tokens, whole.output_tokens]);
  holds(whole.input_tokens > 10 && whole.output_tokens > 10, "true");
});

capability("system", "messages", async () => same(textOf(await ask(script({ say: "%system%" }), { system: "Be brief." })), "Be brief."));
capability("late system", "messages", async () => {
  const messages = [...user(script({ say: "%system%" })), { role: "system", content: "Speak up." }];
  holds(textOf(await client.messages.create({ model: SMART, max_tokens: 500, messages })), "Speak up.");
});
capability("other vendor", "messages", async () => same(await streamed(script({ say: LONG }), { model: OTHER }).finalText(), LONG));

async function loop(model, text, streaming, more = {}) {
  const messages = user(text);
  const called = [];
  for (;;) {
    const request = { model, max_tokens: 1500, messages, tools: [TOOL, CLOCK], ...more };
    const answer = streaming ? await client.messages.stream(request).finalMessage() : await client.messages.create(request);
    const uses = answer.content.filter((b) => b.type === "tool_use");
    if (!uses.length) return [textOf(answer), called];
    messages.push({ role: "assistant", content: answer.content });
    const results = uses.map((u) => ({ type: "tool_result", tool_use_id: u.id, content: `${u.name} says ${called.push([u.name, u.input])}` }));
    messages.push({ role: "user", content: results });
  }
}

const WANTED = ["done: weather says 1", [["weather", { city: "Oslo" }]]];
capability("tool loop", "messages", async () => same(await loop(SMART, TWO_STEPS, false), WANTED));
capability("streamed tool loop", "messages", async () => same(await loop(SMART, TWO_STEPS, true), WANTED));
capability("tools of the other vendor", "messages", async () => same(await loop(OTHER, TWO_STEPS, true), WANTED));

capability("tool runner", "messages", async () => {
  const called = [];
  const run = ({ city }) => `${city} is sunny${called.push(city) ? "" : ""}`;
  const weather = betaZodTool({ name: "weather", description: "The weather.", inputSchema: z.object({ city: z.string() }), run });
  for (const stream of [false, true]) {
    const runner = client.beta.messages.toolRunner({ model: SMART, max_tokens: 500, tools: [weather], messages: user(TWO_STEPS), stream });
    same(textOf(await runner.runUntilDone()), "done: Oslo is sunny");
  }
  same(called, ["Oslo", "Oslo"]);
});

capability("parallel tools", "messages", async () => {
  const text = script({ say: "Both.", call: [["weather", { city: "Oslo" }], ["clock", {}]] }, { say: "%results%" });
  const wanted = ["weather says 1 | clock says 2", [["weather", { city: "Oslo" }], ["clock", {}]]];
  for (const model of [SMART, OTHER]) for (const streaming of [false, true]) same(await loop(model, text, streaming), wanted);
});

capability("agent", "messages", async () => {
  const steps = [0, 1, 2, 3, 4].map((n) => ({ say: `Step ${n}.`, call: [["weather", { city: `City ${n}` }]] }));
  const [text, called] = await loop(SMART, script(...steps, { say: "%results%" }), true);
  same([called.length, text], [5, [1, 2, 3, 4, 5].map((n) => `weather says ${n}`).join(" | ")]);
});

capability("invalid call", "messages", async () => {
  const text = script({ call: [["weather", { town: 1 }]] }, { say: "sorry" });
  for (const streaming of [false, true]) same((await loop(SMART, text, streaming))[1], [["weather", { town: 1 }]]);
});

capability("cut call", "messages", async () => {
  const text = script({ call: [["weather", { city: "A city with a long name" }]], cut: true });
  same((await ask(text, { tools: [TOOL] })).stop_reason, "max_tokens");
});

capability("schema", "messages", async () => {
  const request = { max_tokens: 500, messages: user(script({ object: PERSON })), output_config: { format: zodOutputFormat(Person) } };
  for (const model of [SMART, OTHER]) same((await client.messages.parse({ model, ...request })).parsed_output, PERSON);
});

const media = async (block) => textOf(await ask([block, { type: "text", text: script({ say: "%saw%" }) }]));
capability("image", "messages", async () => {
  same(await media({ type: "image", source: { type: "base64", media_type: "image/png", data: PNG } }), `image ${thumb(PNG)}`);
});
capability("pdf", "messages", async () => {
  same(await media({ type: "document", source: { type: "base64", media_type: "application/pdf", data: PDF } }), `document ${thumb(PDF)}`);
});

capability("thinking", "messages", async () => {
  const text = script({ think: "I need it.", call: [["weather", { city: "Oslo" }]] }, { think: "So.", say: "%results%" });
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const answer = await streamed(text, { tools: [TOOL], thinking }).finalMessage();
  same([answer.content[0].type, answer.content[0].thinking, Boolean(answer.content[0].signature)], ["thinking", "I need it.", true]);
  for (const streaming of [false, true]) same((await loop(SMART, text, streaming, { thinking }))[0], "weather says 1");
});

capability("cache", "messages", async () => {
  const system = [{ type: "text", text: Math.random() + LONG.repeat(4), cache_control: { type: "ephemeral" } }];
  const first = (await ask(script({ say: "one" }), { system })).usage;
  const second = (await streamed(script({ say: "two" }), { system }).finalMessage()).usage;
  holds(first.cache_creation_input_tokens > 100, "true");
  same(second.cache_read_input_tokens, first.cache_creation_input_tokens);
});

capability("count tokens", "messages", async () => {
  const few = await client.messages.countTokens({ model: SMART, messages: user("hi") });
  const many = await client.messages.countTokens({ model: SMART, messages: user(LONG) });
  holds(0 < few.input_tokens && few.input_tokens < many.input_tokens, "true");
});

capability("models", "messages", async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  holds(listed, SMART);
  same((await client.models.retrieve(SMART)).id, SMART);
});

capability("cut text", "messages", async () => same((await ask(script({ say: "half of this", cut: true }))).stop_reason, "max_tokens"));

capability("bad key", "messages", async () => {
  const bad = new Anthropic({ baseURL: URL_, apiKey: "wrong", maxRetries: 0 });
  for (const call of [() => bad.messages.create({ model: SMART, max_tokens: 5, messages: user("hi") }), () => bad.models.list()]) {
    const error = await fails(call);
    same([error instanceof Anthropic.AuthenticationError, error.error?.error?.type], [true, "authentication_error"]);
  }
});

capability("unknown model", "messages", async () => {
  for (const call of [() => ask("hi", { model: "no-such-model" }), () => client.models.retrieve("no-such-model")]) {
    const error = await fails(call);
    same([error instanceof Anthropic.NotFoundError, error.error?.error?.type], [true, "not_found_error"]);
  }
});

capability("context length", "messages", async () => {
  const error = await fails(() => ask(script({ error: [400, "prompt is too long"] })));
  same(error instanceof Anthropic.BadRequestError, true);
  holds(error.message, "too long");
});

capability("abort", "messages", async () => {
  const text = `abort ${Math.random()} ${LONG}`;
  await control("left");
  const stream = streamed(script({ say: text, pause: 0.2 }));
  stream.once("text", () => stream.abort());
  await fails(() => stream.done());
  await eventually(async () => (await control("left")).includes(text));
});

await main();
