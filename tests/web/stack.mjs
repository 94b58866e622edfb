// The whole stack as plain processes on loopback: Redis, broker, workers, rng, hasher, miner, webui.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");

const folders = process.env.SCOOP_BUILD ? [process.env.SCOOP_BUILD] : ["build", "build-dev"];
export const BUILD = folders.map((name) => join(ROOT, name)).find((path) => existsSync(join(path, "bin/webui")));

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Wait until `check` returns something true, and return that.
export async function eventually(what, check, limitMs = 15000) {
  const end = Date.now() + limitMs;
  let last;
  while (Date.now() < end) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await sleep(50);
  }
  throw new Error(`not within ${limitMs} ms: ${what} (last: ${last?.message ?? JSON.stringify(last)})`);
}

export class Stack {
  constructor() {
    this.processes = new Map();
  }

  // Start a program; a name is used once, or again after kill().
  run(name, program, args, env = {}) {
    const path = program.startsWith("/") ? program : join(BUILD, "bin", program);
    const child = spawn(path, args, {
      env: { PATH: process.env.PATH, ACCESS_LOG: "no", ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.errors = "";
    child.stderr.on("data", (text) => {
      child.errors += text;
    });
    this.processes.set(name, child);
    return child;
  }

  async start() {
    if (!BUILD) throw new Error("nothing is built; run: cmake --preset release && cmake --build --preset release");
    this.folder = await mkdtemp(join(tmpdir(), "scoop-web-"));
    const names = ["redis", "rng", "hasher", "webui"];
    this.ports = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freePort()])));
    this.startRedis();
    this.startBroker();
    this.startWorker("worker-1");
    this.startWorker("worker-2");
    this.run("rng", "rng", ["--listen", this.at("rng")], { RNG_DELAY_MS: "100", RNG_CONCURRENCY: "1" });
    this.run("hasher", "hasher", ["--listen", this.at("hasher")], { HASHER_DELAY_MS: "100" });
    this.startMiner();
    this.startWebui();
    await eventually("webui answers", async () => (await fetch(`${this.url}/health`)).ok);
    return this;
  }

  at(name) {
    return `127.0.0.1:${this.ports[name]}`;
  }

  get url() {
    return `http://${this.at("webui")}`;
  }

  startRedis() {
    const args = ["--port", this.ports.redis, "--bind", "127.0.0.1", "--dir", this.folder];
    this.run("redis", "/usr/bin/redis-server", [...args, "--appendonly", "yes", "--save", ""]);
  }

  startBroker() {
    const sockets = ["client", "worker"].flatMap((side) => [`--${side}-listen`, `ipc://${this.folder}/${side}`]);
    this.run("broker", "scoop-broker", sockets);
  }

  startWorker(name) {
    const programs = ["--programs", join(BUILD, "bin/examples")];
    this.run(name, "scoop-worker", ["run", "--broker", `ipc://${this.folder}/worker`, "--slots", "2", ...programs]);
  }

  // A program whose functions run on the workers.
  startProgram(name, ...args) {
    this.run(name, `examples/${name}`, args, { SCOOP_BROKER: `ipc://${this.folder}/client` });
  }

  startMiner() {
    const peers = ["rng", "hasher"].flatMap((name) => [`--${name}`, `http://${this.at(name)}`]);
    this.run("miner", "miner", [...peers, "--redis", `redis://${this.at("redis")}`, "--listen", "127.0.0.1:0"], {
      MINER_DELAY_MS: "100",
    });
  }

  startWebui() {
    const redis = ["--redis", `redis://${this.at("redis")}`];
    this.run("webui", "webui", ["--listen", this.at("webui"), ...redis, "--broker", `ipc://${this.folder}/client`]);
  }

  async json(path) {
    return (await fetch(this.url + path)).json();
  }

  // End a program, at once or by SIGTERM; resolves with its exit code (or the signal).
  kill(name, signal = "SIGKILL") {
    const child = this.processes.get(name);
    this.processes.delete(name);
    if (child.exitCode !== null) return Promise.resolve(child.exitCode);
    return new Promise((resolve) => {
      child.once("exit", (code, by) => resolve(code ?? by));
      child.kill(signal);
    });
  }

  async stop() {
    await Promise.all([...this.processes.keys()].map((name) => this.kill(name)));
    await rm(this.folder, { recursive: true, force: true });
  }
}
