// Runs the capabilities of a Node client, and writes one line of JSON for each. See capability.py.
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import assert from "node:assert/strict";

export const URL_ = process.env.OCTANT_URL;
export const KEY = process.env.OCTANT_KEY;
export const EMBEDDER = process.env.OCTANT_EMBEDDER;
const SECONDS = 90;
const found = [];

export const PNG = Buffer.from(
  "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082",
  "hex",
).toString("base64");
export const PDF = Buffer.from(
  "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
).toString("base64");
export const LONG = "It is a long text that makes a stream of many pieces. ".repeat(8);
export const PERSON = { name: "Ada", age: 36 };
export const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };

export const script = (...steps) => `Do as follows. SCRIPT(${Buffer.from(JSON.stringify(steps)).toString("base64url")})`;
export const thumb = (data) => createHash("sha256").update(data).digest("hex").slice(0, 8);
export const capability = (name, way, run) => found.push({ name, way, run });
export const same = (got, wanted) => assert.deepEqual(got, wanted);
export const holds = (text, part) => assert.ok(String(text).includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
export const control = async (path) => (await fetch(`${process.env.OCTANT_MODEL}/control/${path}`)).json();

export async function fails(run) {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error("no error was raised");
}

// Poll until the result is truthy.
export async function eventually(holdsNow, seconds = 20) {
  for (let left = seconds * 10; left > 0; left--) {
    const result = await holdsNow();
    if (result) return result;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`did not hold within ${seconds} s`);
}

const late = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error(`not done after ${SECONDS} s`)), SECONDS * 1000).unref());

const outcome = (fields) => appendFileSync(process.env.OCTANT_OUTCOMES, `${JSON.stringify(fields)}\n`);

export async function main() {
  process.on("unhandledRejection", () => {}); // of what a failed capability left behind
  for (const { name, way, run } of found) {
    if (process.argv.length > 2 && !process.argv.slice(2).includes(name)) continue;
    await control("refused");
    let ok = true;
    let detail = "";
    try {
      await Promise.race([run(), late()]);
      const refused = await control("refused");
      if (refused.length) [ok, detail] = [false, `the provider refused: ${refused[0]}`];
    } catch (error) {
      ok = false;
      detail = `${error?.name}: ${error?.message}`;
      if (process.env.OCTANT_TRACE) console.error(error);
    }
    outcome({ capability: name, way, ok, detail: detail.slice(0, 600) });
  }
  outcome({ done: true });
  process.exit(0);
}
