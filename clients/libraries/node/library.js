// One library in one protocol through everything that `../covered` lists. The argument names the variant.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { program } from "../../harness/program.js";
import * as flow from "./cases-flow.js";
import * as types from "./cases-types.js";
import { openIoredis } from "./ioredis.js";
import { openNodeRedis } from "./node-redis.js";

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const VARIANTS = {
  "ioredis5-resp2": [dependencies.ioredis5, 2, openIoredis("ioredis5", 2)],
  "ioredis6-resp2": [dependencies.ioredis, 2, openIoredis("ioredis", 2)],
  "ioredis6-resp3": [dependencies.ioredis, 3, openIoredis("ioredis", 3)],
  "node-redis-resp2": [dependencies.redis, 2, openNodeRedis(2)],
  "node-redis-resp3": [dependencies.redis, 3, openNodeRedis(3)],
};

const COVERED = readFileSync(new URL("../covered", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.slice(0, 17).trim());

const name = process.argv[2];
const [version, protocol, open] = VARIANTS[name] ?? assert.fail(`no variant is called ${name}: ${Object.keys(VARIANTS)}`);
const known = { ...types.cases, ...flow.cases };
assert.deepEqual(Object.keys(known).sort(), [...COVERED].sort(), "the cases are those of ../covered");

const cases = {};
for (const title of COVERED) {
  cases[title] = (context) => {
    context.protocol = protocol;
    context.version = version.replace("npm:ioredis@", "");
    // Every connection ends with its case.
    context.open = async (options = {}) => {
      const face = await open(context.server.port, options);
      context.defer(() => face.end());
      return face;
    };
    return known[title](context);
  };
}

async function emptyServer(context) {
  const face = await open(context.server.port, {});
  await face.raw("FLUSHALL");
  await face.end();
}

await program(`libraries/${name} (${version})`, cases, { before_each: emptyServer });
