// The server under test as a child process: started on a free loopback port with a data folder of its own, killed with
// SIGKILL, started again on the same port and folder, ended by its pid. It needs nothing but a command line like
// redis-server's, so the same programs run against the control.
//
// SERVER_BIN  path of the binary under test; unset: target/release/sessile of this repository.
// CONTROL=1    the control instead: /usr/bin/redis-server with every write fsynced before its reply.

import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CONTROL_BIN = "/usr/bin/redis-server";
const DEFAULT_BIN = fileURLToPath(new URL("../../target/release/sessile", import.meta.url));
const START_LIMIT_MS = 30_000;
const PING_LIMIT_MS = 1_000;
const POLL_MS = 10;

export class Server {
  #command;
  #root;
  #log;
  #child = null;
  #port = 0;
  #on_process_exit;

  constructor(command) {
    this.#command = command;
    this.#root = mkdtempSync(join(tmpdir(), "sessile-clients-"));
    mkdirSync(join(this.#root, "data"));
    this.#log = join(this.#root, "server.log");
    // A program that dies half-way must leave neither a server nor a folder behind.
    this.#on_process_exit = () => {
      this.#child?.kill("SIGKILL");
      rmSync(this.#root, { recursive: true, force: true });
    };
    process.once("exit", this.#on_process_exit);
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  }

  /** Starts the server that the environment names and waits until it answers PING. */
  static async start(env = process.env) {
    const server = new Server(serverCommand(env));
    await server.restart();
    return server;
  }

  get port() {
    return this.#port;
  }

  get url() {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** `kill -9`: nothing is flushed, no connection is closed in good order. */
  async kill() {
    const child = this.#child;
    if (child === null) throw new Error("the server is not running");
    this.#child = null;
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the server had ended by itself${this.#logTail()}`);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** Starts the server on its folder, and on its port once it has one; returns how long PING took to be answered, in ms. */
  async restart() {
    if (this.#child !== null) throw new Error("the server is already running");
    this.#port ||= await freePort();
    const { bin, lead, tail } = this.#command;
    const args = [...lead, "--port", String(this.#port), "--dir", join(this.#root, "data"), "--bind", "127.0.0.1", ...tail];
    const log = openSync(this.#log, "a");
    const began_ms = performance.now();
    const child = spawn(bin, args, { stdio: ["ignore", log, log] });
    closeSync(log);
    let failure = null;
    child.once("error", (error) => (failure = error.message));
    child.once("exit", (code, signal) => (failure ??= `ended with ${signal ?? code} before it answered PING`));
    this.#child = child;
    while (!(await answersPing(this.#port)) || failure !== null) {
      if (failure === null && performance.now() - began_ms > START_LIMIT_MS) {
        failure = `did not answer PING within ${START_LIMIT_MS} ms`;
        child.kill("SIGKILL");
      }
      if (failure !== null) {
        this.#child = null;
        throw new Error(`${bin} ${args.join(" ")}: ${failure}${this.#logTail()}`);
      }
      await sleep(POLL_MS);
    }
    return performance.now() - began_ms;
  }

  /** Kills the server and starts it again at once. */
  async crash() {
    await this.kill();
    return this.restart();
  }

  /** Ends the server and removes its folder. */
  async stop() {
    if (this.#child !== null) await this.kill();
    process.removeListener("exit", this.#on_process_exit);
    rmSync(this.#root, { recursive: true, force: true });
  }

  #logTail() {
    const lines = existsSync(this.#log) ? readFileSync(this.#log, "utf8").trimEnd().split("\n").slice(-15) : [];
    return lines.length === 0 ? "" : `\n    its last lines:\n      ${lines.join("\n      ")}`;
  }
}

/** The binary and the arguments around `--port --dir --bind`. A binary that goes by the name of sessile needs its subcommand. */
export function serverCommand(env) {
  if (env.CONTROL === "1") return { bin: CONTROL_BIN, lead: [], tail: ["--appendonly", "yes", "--appendfsync", "always"] };
  const bin = env.SERVER_BIN || DEFAULT_BIN;
  if (!existsSync(bin)) throw new Error(`no binary at ${bin}: build it with cargo build --release, or set SERVER_BIN or CONTROL=1`);
  return { bin, lead: basename(bin).startsWith("sessile") ? ["server"] : [], tail: [] };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Whether the port answers PING with PONG; a refusal such as LOADING counts as no. */
function answersPing(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let reply = "";
    const end = (answered) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(PING_LIMIT_MS, () => end(false));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    socket.once("connect", () => socket.write("*1\r\n$4\r\nPING\r\n"));
    socket.on("data", (bytes) => {
      reply += bytes.toString("latin1");
      if (reply.endsWith("\r\n")) end(reply === "+PONG\r\n");
    });
  });
}
