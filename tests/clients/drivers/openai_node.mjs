// The official SDK of OpenAI for Node: chat completions with its tool runner, Responses, embeddings, models.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { EMBEDDER, KEY, LONG, PDF, PERSON, PNG, URL_, WEATHER, capability, control, eventually, fails, holds, main, same, script, thumb } from "./capability.mjs";

const client = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY, maxRetries: 0 });
const [FAST, OTHER] = ["fast", "smart"]; // a model of the SDK's own vendor, and one of the other
const Person = z.object({ name: z.string(), age: z.number() });
const TWO_STEPS = script({ call: [["weather", { city: "Oslo" }]] }, { say: "done: %results%" });
const TOOL = { type: "function", function: { name: "weather", description: "The weather.", parameters: WEATHER } };
const TOOL_2 = { type: "function", function: { name: "clock", parameters: { type: "object", properties: {} } } };
const user = (content) => [{ role: "user", content }];
const ask = (text, more = {}) => client.chat.completions.create({ model: FAST, messages: user(text), ...more });

capability("text", "chat", async () => {
  const answer = await ask(script({ say: "Hello, Ünïcode 🌍." }));
  same(answer.choices[0].message.content, "Hello, Ünïcode 🌍.");
  same(answer.choices[0].finish_reason, "stop");
});

async function texts(stream) {
  const found = [];
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) found.push(chunk.choices[0].delta.content);
  return found;
}

capability("stream", "chat", async () => {
  const found = await texts(await ask(script({ say: LONG }), { stream: true }));
  holds(found.length > 10, "true");
  same(found.join(""), LONG);
  const stream = client.chat.completions.stream({ model: FAST, messages: user(script({ say: LONG })) });
  same(await stream.finalContent(), LONG);
});

capability("usage", "chat", async () => {
  const whole = (await ask(script({ say: LONG }))).usage;
  holds(whole.prompt_tokens > 10 && whole.completion_tokens > 10, "true");
  let last;
  for await (last of await ask(script({ say: LONG }), { stream: true, stream_options: { include_usage: true } }));
  same(last.usage.total_tokens, whole.total_tokens);
});

capability("system", "chat", async () => {
  for (const role of ["system", "developer"]) {
    const messages = [{ role, content: "Be brief." }, ...user(script({ say: "%system%" }))];
    same((await client.chat.completions.create({ model: FAST, messages })).choices[0].message.content, "Be brief.");
  }
});

capability("other vendor", "chat", async () => {
  same((await texts(await ask(script({ say: LONG }), { model: OTHER, stream: true }))).join(""), LONG);
});

// The SDK's own loop around its tools.
async function loop(model, text, stream, invalid = []) {
  const called = [];
  const own = (name, parameters) => ({
    type: "function",
    function: { name, parameters, parse: JSON.parse, description: name, function: (args) => `${name} says ${called.push([name, args])}` },
  });
  const tools = [own("weather", WEATHER), own("clock", { type: "object", properties: {} })];
  const runner = client.chat.completions.runTools({ model, messages: user(text), tools, stream });
  return [await runner.finalContent(), called];
}

const WANTED = ["done: weather says 1", [["weather", { city: "Oslo" }]]];
capability("tool loop", "chat", async () => same(await loop(FAST, TWO_STEPS, false), WANTED));
capability("streamed tool loop", "chat", async () => same(await loop(FAST, TWO_STEPS, true), WANTED));
capability("tools of the other vendor", "chat", async () => same(await loop(OTHER, TWO_STEPS, true), WANTED));

capability("parallel tools", "chat", async () => {
  const text = script({ say: "Both.", call: [["weather", { city: "Oslo" }], ["clock", {}]] }, { say: "%results%" });
  for (const model of [FAST, OTHER]) same(await loop(model, text, true), ["weather says 1 | clock says 2", [["weather", { city: "Oslo" }], ["clock", {}]]]);
});

capability("agent", "chat", async () => {
  const steps = [0, 1, 2, 3, 4].map((n) => ({ say: `Step ${n}.`, call: [["weather", { city: `City ${n}` }]] }));
  const [text, called] = await loop(FAST, script(...steps, { say: "%results%" }), true);
  same(called.length, 5);
  same(text, [1, 2, 3, 4, 5].map((n) => `weather says ${n}`).join(" | "));
});

capability("invalid call", "chat", async () => {
  const [, called] = await loop(FAST, script({ call: [["weather", { town: 1 }]] }, { say: "sorry" }), true);
  same(called, [["weather", { town: 1 }]]);
});

capability("cut call", "chat", async () => {
  const text = script({ call: [["weather", { city: "A city with a long name" }]], cut: true });
  same((await ask(text, { tools: [TOOL] })).choices[0].finish_reason, "length");
});

capability("schema", "chat", async () => {
  const request = { messages: user(script({ object: PERSON })), response_format: zodResponseFormat(Person, "person") };
  for (const model of [FAST, OTHER]) same((await client.chat.completions.parse({ model, ...request })).choices[0].message.parsed, PERSON);
});

capability("streamed schema", "chat", async () => {
  const request = { model: FAST, messages: user(script({ object: PERSON })), response_format: zodResponseFormat(Person, "person") };
  same((await client.chat.completions.stream(request).finalChatCompletion()).choices[0].message.parsed, PERSON);
});

capability("json mode", "chat", async () => {
  const answer = await ask(`JSON. ${script({ object: PERSON })}`, { response_format: { type: "json_object" } });
  same(JSON.parse(answer.choices[0].message.content), PERSON);
});

capability("cut output", "chat", async () => {
  const messages = user(script({ say: '{"name": "Ada", "ag', cut: true }));
  const error = await fails(() => client.chat.completions.parse({ model: FAST, messages, response_format: zodResponseFormat(Person, "person") }));
  same(error.constructor.name, "LengthFinishReasonError");
});

const media = (part) => ask([part, { type: "text", text: script({ say: "%saw%" }) }]);
capability("image", "chat", async () => {
  const answer = await media({ type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } });
  same(answer.choices[0].message.content, `image ${thumb(PNG)}`);
});
capability("pdf", "chat", async () => {
  const answer = await media({ type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${PDF}` } });
  same(answer.choices[0].message.content, `document ${thumb(PDF)}`);
});

capability("choices", "chat", async () => same((await ask(script({ say: "two" }), { n: 2 })).choices.map((c) => c.message.content), ["two", "two"]));

capability("logprobs", "chat", async () => {
  const answer = await ask(script({ say: "likely" }), { logprobs: true, top_logprobs: 1 });
  same(answer.choices[0].logprobs.content.map((t) => t.token).join(""), "likely");
});

capability("cut text", "chat", async () => same((await ask(script({ say: "half of this", cut: true }))).choices[0].finish_reason, "length"));

capability("bad key", "chat", async () => {
  const bad = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: "wrong", maxRetries: 0 });
  const error = await fails(() => bad.chat.completions.create({ model: FAST, messages: user("hi") }));
  same([error instanceof OpenAI.AuthenticationError, error.status], [true, 401]);
});

capability("unknown model", "chat", async () => {
  const error = await fails(() => ask("hi", { model: "no-such-model" }));
  same([error instanceof OpenAI.NotFoundError, error.code], [true, "model_not_found"]);
});

capability("context length", "chat", async () => {
  const error = await fails(() => ask(script({ error: [400, "context_length_exceeded"] })));
  same([error instanceof OpenAI.BadRequestError, error.code], [true, "context_length_exceeded"]);
});

capability("abort", "chat", async () => {
  const text = `abort ${Math.random()} ${LONG}`;
  await control("left");
  const stream = await ask(script({ say: text, pause: 0.2 }), { stream: true });
  for await (const _ of stream) break;
  stream.controller.abort();
  await eventually(async () => (await control("left")).includes(text));
});

capability("models", "models", async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  holds(listed, FAST);
  same((await client.models.retrieve(OTHER)).id, OTHER);
});

capability("embeddings", "embeddings", async () => {
  const answer = await client.embeddings.create({ model: EMBEDDER, input: ["one", "two", "one"] });
  same(answer.data[0].embedding, answer.data[2].embedding);
  holds(JSON.stringify(answer.data[0].embedding) !== JSON.stringify(answer.data[1].embedding), "true");
});

const respond = (input, more = {}) => client.responses.create({ model: FAST, input, ...more });
capability("text", "responses", async () => same((await respond(script({ say: "Hello." }))).output_text, "Hello."));
capability("stream", "responses", async () => {
  const kinds = [];
  const found = [];
  for await (const event of await respond(script({ say: LONG }), { stream: true })) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") found.push(event.delta);
  }
  same([found.join(""), kinds[0], kinds.at(-1)], [LONG, "response.created", "response.completed"]);
});
capability("other vendor", "responses", async () => same((await respond(script({ say: "across" }), { model: OTHER })).output_text, "across"));

async function responsesLoop(text, streamed) {
  const input = [{ role: "user", content: text }];
  const called = [];
  for (;;) {
    const request = { model: FAST, input, tools: [{ type: "function", name: "weather", parameters: WEATHER, strict: true }] };
    const answer = streamed ? await client.responses.stream(request).finalResponse() : await client.responses.create(request);
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (!calls.length) return [answer.output_text, called];
    for (const { parsed_arguments: _, ...item } of answer.output) input.push(item);
    for (const call of calls) {
      called.push([call.name, JSON.parse(call.arguments)]);
      input.push({ type: "function_call_output", call_id: call.call_id, output: `weather says ${called.length}` });
    }
  }
}
capability("tool loop", "responses", async () => same(await responsesLoop(TWO_STEPS, false), WANTED));
capability("streamed tool loop", "responses", async () => same(await responsesLoop(TWO_STEPS, true), WANTED));

capability("schema", "responses", async () => {
  const answer = await client.responses.parse({ model: FAST, input: script({ object: PERSON }), text: { format: zodTextFormat(Person, "person") } });
  same(answer.output_parsed, PERSON);
});

await main();
