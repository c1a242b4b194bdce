// Codex, without a terminal: `codex exec`, with its own tools.
import { readFileSync } from "node:fs";
import { KEY, PERSON, URL_, capability, holds, main, same, script } from "./capability.mjs";
import { lines, run, script as packaged } from "./commands.mjs";

const provider = `{name="octant",base_url="${URL_}/v1",env_key="CODEX_KEY",wire_api="responses",request_max_retries=0,stream_max_retries=0}`;

// What would be fetched at the start: plugins, apps, news.
const OFF = ["--disable", "plugins", "--disable", "apps", "-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false"];

const MODEL = process.env.CLIENT_MODEL; // a name that the client knows, or none
const OTHER = MODEL || "smart"; // Claude answers it

async function events(prompt, { args = [], key = KEY, model = MODEL || "fast", code = 0 } = {}) {
  const config = ["-c", `model_providers.octant=${provider}`, "-c", "model_provider=octant", "-m", model];
  const flags = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", ...OFF, ...config, ...args, prompt];
  return lines(await run(process.execPath, [packaged("@openai/codex/bin/codex.js"), ...flags], { env: { CODEX_KEY: key }, code }));
}

// As the vendor itself at another address, without a provider of its own in the configuration.
async function asVendor(prompt) {
  const flags = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", ...OFF];
  const config = ["-c", `openai_base_url="${URL_}/v1"`, "-m", MODEL || "fast"];
  return lines(await run(process.execPath, [packaged("@openai/codex/bin/codex.js"), ...flags, ...config, prompt], { env: { CODEX_API_KEY: KEY } }));
}

const texts = (found) => found.filter((e) => e.type === "item.completed" && e.item.type === "agent_message").map((e) => e.item.text);
const SHELL = (command) => ["exec_command", { cmd: command }];

capability("text", "responses", async () => same(texts(await events(script({ say: "Hello, Ünïcode 🌍." }))), ["Hello, Ünïcode 🌍."]));
capability("other vendor", "responses", async () => same(texts(await events(script({ say: "across" }), { model: OTHER })), ["across"]));

capability("usage", "responses", async () => {
  const { usage } = (await events(script({ say: "Hello." }))).findLast((e) => e.type === "turn.completed");
  holds(usage.input_tokens > 100 && usage.output_tokens > 0, "true");
});

capability("streamed tool loop", "responses", async () => {
  const found = await events(script({ call: [SHELL("echo $((40 + 2))")] }, { say: "done: %results%" }));
  const { item } = found.find((e) => e.type === "item.completed" && e.item.type === "command_execution");
  same(item.aggregated_output.trim(), "42");
  holds(texts(found).at(-1), "42");
});

capability("tools of the other vendor", "responses", async () => {
  const found = await events(script({ call: [SHELL("echo $((40 + 2))")] }, { say: "done: %results%" }), { model: OTHER });
  holds(texts(found).at(-1), "42");
});

capability("agent", "responses", async () => {
  const commands = ["echo one > made.txt", "sed -i s/one/two/ made.txt", "wc -l < made.txt", "cat made.txt"];
  const steps = commands.map((command, n) => ({ say: `Step ${n}.`, call: [SHELL(command)] }));
  holds(texts(await events(script(...steps, { say: "%results%" }))).at(-1), "two");
  same(readFileSync("made.txt", "utf8"), "two\n");
});

capability("invalid call", "responses", async () => {
  holds(texts(await events(script({ call: [["exec_command", { wrong: 1 }]] }, { say: "sorry: %results%" }))).at(-1), "sorry:");
});

capability("history", "responses", async () => {
  await events(script({ say: "one" }));
  same(texts(await events(script({ say: "two" }), { args: ["resume", "--last"] })), ["two"]);
});

capability("parameters", "responses", async () => {
  const found = await asVendor(script({ call: [SHELL("echo $((40 + 2))")] }, { say: "done: %results%" }));
  holds(texts(found).at(-1), "42");
});

capability("bad key", "responses", async () => holds(JSON.stringify(await events("hi", { key: "wrong", code: 1 })), "401"));

await main();
