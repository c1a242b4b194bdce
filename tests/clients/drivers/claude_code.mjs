// Claude Code, without a terminal: `claude -p`, with its own tools.
import { readFileSync, writeFileSync } from "node:fs";
import { KEY, LONG, PDF, PERSON, PNG, URL_, capability, holds, main, same, script, thumb } from "./capability.mjs";
import { lines, run, script as packaged } from "./commands.mjs";

const MODEL = process.env.CLIENT_MODEL; // a name that the client knows, or none
const NAMES = MODEL ? { ANTHROPIC_MODEL: MODEL } : { ANTHROPIC_MODEL: "smart", ANTHROPIC_SMALL_FAST_MODEL: "smart" };
const ENV = { ANTHROPIC_BASE_URL: URL_, ANTHROPIC_AUTH_TOKEN: KEY, ...NAMES };
const TOOLS = ["--allowedTools", "Bash,Read,Write,Edit"];

// The events of a run: the client's own account of the conversation.
async function events(prompt, args = [], env = {}) {
  const command = packaged("@anthropic-ai/claude-code/cli-wrapper.cjs");
  const flags = ["-p", prompt, "--output-format", "stream-json", "--verbose", ...TOOLS, ...args];
  return lines(await run(process.execPath, [command, ...flags], { env: { ...ENV, ...env } }));
}

const last = (found) => found.findLast((event) => event.type === "result");
const ask = async (...args) => last(await events(...args)).result;

capability("text", "messages", async () => same(await ask(script({ say: "Hello, Ünïcode 🌍." })), "Hello, Ünïcode 🌍."));

capability("stream", "messages", async () => {
  const found = await events(script({ say: LONG }), ["--include-partial-messages"]);
  const deltas = found.filter((e) => e.event?.type === "content_block_delta" && e.event.delta.type === "text_delta");
  same(deltas.map((e) => e.event.delta.text).join(""), LONG);
});

capability("usage", "messages", async () => {
  const { usage } = last(await events(script({ say: LONG })));
  const put = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
  holds(put > 1000 && usage.output_tokens > 10, "true");
});

capability("system", "messages", async () => holds(await ask(script({ say: "%system%" }), ["--append-system-prompt", "Be very brief."]), "Be very brief."));

capability("history", "messages", async () => {
  await ask(script({ say: "one" }));
  same(await ask(script({ say: "two" }), ["--continue"]), "two");
});

capability("streamed tool loop", "messages", async () => {
  same(await ask(script({ call: [["Bash", { command: "echo $((40 + 2))", description: "Add" }]] }, { say: "done: %results%" })), "done: 42");
});

capability("parallel tools", "messages", async () => {
  writeFileSync("one.txt", "first file\n");
  const calls = [["Bash", { command: "echo from the shell", description: "Speak" }], ["Read", { file_path: `${process.cwd()}/one.txt` }]];
  const said = await ask(script({ say: "Both.", call: calls }, { say: "%results%" }));
  holds(said, "from the shell");
  holds(said, "first file");
});

capability("agent", "messages", async () => {
  const path = `${process.cwd()}/made.txt`;
  const steps = [
    { say: "I write.", call: [["Write", { file_path: path, content: "one\n" }]] },
    { say: "I read.", call: [["Read", { file_path: path }]] },
    { say: "I edit.", call: [["Edit", { file_path: path, old_string: "one", new_string: "two" }]] },
    { say: "I count.", call: [["Bash", { command: `wc -l < ${path}`, description: "Count" }]] },
    { say: "I look.", call: [["Bash", { command: `cat ${path}`, description: "Show" }]] },
  ];
  holds(await ask(script(...steps, { say: "%results%" })), "two");
  same(readFileSync(path, "utf8"), "two\n");
});

capability("invalid call", "messages", async () => {
  const said = await ask(script({ call: [["Read", { path: 1 }]] }, { say: "sorry: %results%" }));
  holds(said, "sorry:");
  holds(said, "file_path");
});

capability("schema", "messages", async () => {
  const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"] };
  const found = last(await events(script({ call: [["StructuredOutput", PERSON]] }, { say: "done" }), ["--json-schema", JSON.stringify(schema)]));
  same(found.structured_output, PERSON);
});

capability("image", "messages", async () => {
  writeFileSync("a.png", Buffer.from(PNG, "base64"));
  holds(await ask(script({ call: [["Read", { file_path: `${process.cwd()}/a.png` }]] }, { say: "saw %saw%" })), "saw image ");
});

capability("pdf", "messages", async () => {
  writeFileSync("a.pdf", Buffer.from(PDF, "base64"));
  holds(await ask(script({ call: [["Read", { file_path: `${process.cwd()}/a.pdf` }]] }, { say: "saw %saw%" })), `document ${thumb(PDF)}`);
});

capability("thinking", "messages", async () => {
  const steps = [{ think: "I need it.", call: [["Bash", { command: "echo thought", description: "Think" }]] }, { think: "So.", say: "%results%" }];
  const found = await events(script(...steps), [], { MAX_THINKING_TOKENS: "1024" });
  same(last(found).result, "thought");
  const blocks = found.filter((e) => e.type === "assistant").flatMap((e) => e.message.content);
  same(blocks.filter((b) => b.type === "thinking").map((b) => b.thinking), ["I need it.", "So."]);
});

capability("cache", "messages", async () => {
  const steps = [0, 1, 2].map((n) => ({ say: `Step ${n}.`, call: [["Bash", { command: `echo ${n}`, description: "Count" }]] }));
  const found = await events(script(...steps, { say: "done" }));
  const usages = new Map(found.filter((e) => e.type === "assistant").map((e) => [e.message.id, e.message.usage]));
  const { usage } = last(found);
  same(usages.size, 4);
  holds(usage.cache_read_input_tokens > 2 * usage.cache_creation_input_tokens, "true"); // each further turn reads the one before
});

capability("bad key", "messages", async () => {
  const found = last(lines(await run(process.execPath, [packaged("@anthropic-ai/claude-code/cli-wrapper.cjs"), "-p", "hi", "--output-format", "json"], { env: { ...ENV, ANTHROPIC_AUTH_TOKEN: "wrong" }, code: 1 })));
  holds(JSON.stringify(found), "401");
});

await main();
