// Waiting and chance for the programs: conditions are polled against a deadline instead of slept for, and
// randomness comes from a seed that is printed (SEED=<n> repeats a run).

import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;

/** Polls `probe` until it returns something truthy and returns that; the error names `what` and the last value seen. */
export async function eventually(what, probe, limit_ms = 20_000) {
  const deadline_ms = performance.now() + limit_ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > deadline_ms) throw new Error(`${what}: not within ${limit_ms} ms (last: ${JSON.stringify(value)})`);
    await sleep(POLL_MS);
  }
}

/** A seeded generator (mulberry32): `below(n)` gives an integer in [0, n), `pick(list)` an element. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  static fromEnvironment(title) {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    console.error(`${title}: SEED=${seed}`);
    return new Random(seed);
  }

  below(bound) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}
