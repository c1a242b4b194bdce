// opencode, without a terminal: `opencode run`, on its provider for compatible servers, for Anthropic and for OpenAI.
import { readFileSync, writeFileSync } from "node:fs";
import { KEY, URL_, capability, holds, main, same, script } from "./capability.mjs";
import { lines, run, script as packaged } from "./commands.mjs";

const models = { fast: { name: "fast", tool_call: true }, smart: { name: "smart", tool_call: true } };
const provider = (npm) => ({ npm, name: npm, options: { baseURL: `${URL_}/v1`, apiKey: KEY }, models });
const provided = { chat: "@ai-sdk/openai-compatible", messages: "@ai-sdk/anthropic", responses: "@ai-sdk/openai" };
const config = {
  $schema: "https://opencode.ai/config.json",
  autoupdate: false,
  share: "disabled",
  permission: { bash: "allow", edit: "allow" },
  provider: Object.fromEntries(Object.entries(provided).map(([way, npm]) => [`octant-${way}`, provider(npm)])),
};
writeFileSync("opencode.json", JSON.stringify(config));

for (const [way, model] of [["chat", "fast"], ["messages", "smart"], ["responses", "fast"]]) {
  const events = async (prompt, { named = model, args = [] } = {}) => {
    const flags = ["run", "--format", "json", "-m", `octant-${way}/${named}`, ...args, prompt];
    return lines(await run(packaged("opencode-linux-x64/bin/opencode"), flags, { env: { OPENCODE_CONFIG: `${process.cwd()}/opencode.json` } }));
  };
  const texts = (found) => found.filter((e) => e.type === "text").map((e) => e.part.text);

  capability("text", way, async () => same(texts(await events(script({ say: "Hello, Ünïcode 🌍." }))), ["Hello, Ünïcode 🌍."]));

  capability("streamed tool loop", way, async () => {
    const found = await events(script({ call: [["bash", { command: "echo $((40 + 2))", description: "Add" }]] }, { say: "done: %results%" }));
    holds(texts(found).at(-1), "done: 42");
  });

  capability("agent", way, async () => {
    const path = `${process.cwd()}/made-${way}.txt`;
    const steps = [
      { say: "I write.", call: [["write", { filePath: path, content: "one\n" }]] },
      { say: "I edit.", call: [["edit", { filePath: path, oldString: "one", newString: "two" }]] },
      { say: "I look.", call: [["bash", { command: `cat ${path}`, description: "Show" }]] },
    ];
    holds(texts(await events(script(...steps, { say: "%results%" }))).at(-1), "two");
    same(readFileSync(path, "utf8"), "two\n");
  });

  capability("invalid call", way, async () => {
    holds(texts(await events(script({ call: [["bash", { wrong: 1 }]] }, { say: "sorry" }))).at(-1), "sorry");
  });
}

await main();
