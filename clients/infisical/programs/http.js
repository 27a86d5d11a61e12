// Reproduces Infisical's HTTP side: @fastify/rate-limit with its Redis store, and the single-sign-on sessions that
// @fastify/session keeps through connect-redis 7 (prefix `oauth-session:`, 600 s).

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually } from "../../harness/wait.js";
import { connectFor, emptyDatabase, library, title } from "./clients.js";

const fastify = library("fastify");
const { default: RedisStore } = library("connect-redis");
const RATE_MAX = 5;
const SESSION_TTL_S = 600;
const SESSION_PREFIX = "oauth-session:";

const cases = {
  async "the limit counts down, refuses, and is free again after its window"(context) {
    const app = await limitedApp(context, 1500);
    for (let left = RATE_MAX - 1; left >= 0; left -= 1) {
      const reply = await app.inject("/api/v1/secrets");
      assert.equal(reply.statusCode, 200);
      assert.equal(Number(reply.headers["x-ratelimit-remaining"]), left);
    }
    const refusal = await app.inject("/api/v1/secrets");
    assert.equal(refusal.statusCode, 429);
    assert.ok(Number(refusal.headers["retry-after"]) >= 1);
    await eventually("the window passes", async () => (await app.inject("/api/v1/secrets")).statusCode === 200, 5000);
  },

  async "nodes share the count; routes and addresses have their own"(context) {
    const [first, second] = [await limitedApp(context, 60_000), await limitedApp(context, 60_000)];
    const statuses = [];
    for (let index = 0; index < RATE_MAX + 1; index += 1) {
      statuses.push((await (index % 2 ? first : second).inject("/api/v1/secrets")).statusCode);
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429]);
    assert.equal((await first.inject("/api/v1/status")).statusCode, 200);
    assert.equal((await first.inject({ url: "/api/v1/secrets", remoteAddress: "10.0.0.9" })).statusCode, 200);
    const redis = connectFor(context);
    const keys = (await redis.keys("fastify-rate-limit-*")).sort();
    assert.equal(keys.length, 3, keys.join(" "));
    for (const key of keys) assert.ok((await redis.pttl(key)) > 50_000, key);
  },

  async "a burst is counted exactly"(context) {
    const app = await limitedApp(context, 60_000);
    const replies = await Promise.all(Array.from({ length: 60 }, () => app.inject("/api/v1/secrets")));
    assert.equal(replies.filter((reply) => reply.statusCode === 200).length, RATE_MAX);
  },

  async "the count goes on after the scripts are lost and after a kill -9"(context) {
    const app = await limitedApp(context, 60_000);
    for (let index = 0; index < 2; index += 1) await app.inject("/api/v1/secrets");
    await connectFor(context).script("FLUSH");
    assert.equal((await app.inject("/api/v1/secrets")).headers["x-ratelimit-remaining"], "2");
    await context.server.crash();
    assert.equal((await app.inject("/api/v1/secrets")).headers["x-ratelimit-remaining"], "1");
  },

  async "a session is stored with its expiry, read, changed and destroyed"(context) {
    const app = await sessionApp(context);
    const redis = connectFor(context);
    const { cookies } = await signIn(app, "alice");
    const [key] = await redis.keys(`${SESSION_PREFIX}*`);
    const ttl = await redis.ttl(key);
    assert.ok(ttl > SESSION_TTL_S - 10 && ttl <= SESSION_TTL_S, `${ttl} s left`);
    assert.equal(JSON.parse(await redis.get(key)).user, "alice");
    assert.deepEqual((await app.inject({ url: "/whoami", cookies })).json(), { user: "alice" });
    assert.equal((await app.inject({ url: "/sign-out", method: "POST", cookies })).statusCode, 200);
    assert.equal(await redis.exists(key), 0);
    assert.deepEqual((await app.inject({ url: "/whoami", cookies })).json(), { user: null });
  },

  async "all sessions are counted, listed and cleared"(context) {
    const app = await sessionApp(context);
    for (let index = 0; index < 250; index += 1) await signIn(app, `user-${index}`);
    const store = app.store;
    assert.equal(await ask(store, "length"), 250);
    assert.equal((await ask(store, "ids")).length, 250);
    const users = (await ask(store, "all")).map((session) => session.user);
    assert.deepEqual(users.sort(), Array.from({ length: 250 }, (_, index) => `user-${index}`).sort());
    await ask(store, "clear");
    assert.equal(await ask(store, "length"), 0);
  },

  async "everyone stays signed in over a kill -9"(context) {
    const app = await sessionApp(context);
    const signed_in = [];
    for (let index = 0; index < 100; index += 1) signed_in.push((await signIn(app, `user-${index}`)).cookies);
    await app.inject({ url: "/sign-out", method: "POST", cookies: signed_in[0] });
    await context.server.crash();
    for (const [index, cookies] of signed_in.entries()) {
      const expected = index === 0 ? null : `user-${index}`;
      assert.deepEqual((await app.inject({ url: "/whoami", cookies })).json(), { user: expected });
    }
  },
};

/** A node of the API with the rate limit of a cloud installation. */
async function limitedApp(context, window_ms) {
  const app = fastify();
  const limit = { max: RATE_MAX, timeWindow: window_ms };
  await app.register(library("@fastify/rate-limit"), { ...limit, redis: connectFor(context) });
  // A route with a limit of its own has a count of its own; Infisical gives every route one.
  for (const url of ["/api/v1/secrets", "/api/v1/status"]) app.get(url, { config: { rateLimit: limit } }, async () => ({}));
  context.defer(() => app.close());
  return app;
}

/** A node with the session store of the single-sign-on routes; `app.store` is the store itself. */
async function sessionApp(context) {
  const app = fastify();
  const store = new RedisStore({ client: connectFor(context), prefix: SESSION_PREFIX, ttl: SESSION_TTL_S });
  await app.register(library("@fastify/cookie"));
  await app.register(library("@fastify/session"), {
    secret: "a secret of at least thirty-two characters",
    store,
    cookie: { secure: false, maxAge: SESSION_TTL_S * 1000 },
  });
  app.decorate("store", store);
  app.post("/sign-in/:user", async (request) => {
    request.session.user = request.params.user;
    return {};
  });
  app.post("/sign-out", async (request) => {
    await request.session.destroy();
    return {};
  });
  app.get("/whoami", async (request) => ({ user: request.session.user ?? null }));
  context.defer(() => app.close());
  return app;
}

async function signIn(app, user) {
  const reply = await app.inject({ url: `/sign-in/${user}`, method: "POST" });
  assert.equal(reply.statusCode, 200, reply.body);
  return { cookies: Object.fromEntries(reply.cookies.map(({ name, value }) => [name, decodeURIComponent(value)])) };
}

function ask(store, method) {
  return new Promise((resolve, reject) => store[method]((error, value) => (error ? reject(error) : resolve(value))));
}

await program(title("http", "@fastify/rate-limit", "@fastify/session", "connect-redis", "ioredis"), cases, {
  before_each: emptyDatabase,
});
