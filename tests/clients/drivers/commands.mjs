// Runs a command of a client's package, and returns what it printed.
import { spawn } from "node:child_process";
import { join } from "node:path";

export const FOLDER = process.env.CLIENT_FOLDER;

export function run(command, args, { env = {}, seconds = 80, code = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let [out, err] = ["", ""];
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (err += data));
    const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    child.on("error", reject);
    child.on("close", (status) => {
      clearTimeout(timer);
      if (process.env.OCTANT_TRACE) console.error(out, err);
      if (status === code) resolve(out);
      else reject(new Error(`exit code ${status}: ${(out + err).slice(-500)}`));
    });
  });
}

export const script = (name) => join(FOLDER, "node_modules", name);
export const lines = (text) => text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
