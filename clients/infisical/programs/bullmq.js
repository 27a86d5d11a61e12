// Queues and workers as Infisical's queue service makes them: all on one shared connection (a worker duplicates it for its
// blocking reads), jobs with an id of the caller's, removed once completed or failed unless the case says otherwise.

import { eventually } from "../../harness/wait.js";
import { connectFor, library } from "./clients.js";

const { FlowProducer, Queue, QueueEvents, Worker } = library("bullmq");

/** Short enough for a stalled job to be found while a case waits. */
export const STALL_OPTIONS = { lockDuration: 600, stalledInterval: 250 };

/** Makes what a case needs and closes it after the case, workers first. */
export class Bull {
  #context;

  constructor(context) {
    this.#context = context;
    this.connection = connectFor(context);
  }

  queue(name, options = {}) {
    return this.#own(new Queue(name, { connection: this.connection, ...options }), (queue) => queue.close());
  }

  /** A worker that notes every job it began, in order, in `worker.began`. */
  worker(name, process = async () => {}, options = {}) {
    const began = [];
    const handle = async (job, ...rest) => {
      began.push({ id: job.id, name: job.name, at_ms: performance.now(), wall_ms: Date.now() });
      return process(job, ...rest);
    };
    const worker = this.#own(new Worker(name, handle, { connection: this.connection, ...options }), (own) => own.close(true));
    worker.began = began;
    return worker;
  }

  /** A listener that reads from the stream's beginning: one that reads from `$` may be ready before it has asked. */
  async events(name) {
    const events = this.#own(new QueueEvents(name, { connection: this.connection, lastEventId: "0" }), (own) => own.close());
    await events.waitUntilReady();
    return events;
  }

  flows() {
    return this.#own(new FlowProducer({ connection: this.connection }), (flows) => flows.close());
  }

  #own(thing, close) {
    thing.on("error", () => {});
    this.#context.defer(() => close(thing));
    return thing;
  }
}

/** Adds a job the way the queue service does. */
export function submit(queue, id, data = {}, options = {}) {
  return queue.add(`${queue.name}-job`, data, { removeOnFail: true, removeOnComplete: true, ...options, jobId: id });
}

/** Waits until the job has the state; the state `unknown` means that it is gone. */
export function reaches(queue, id, state, limit_ms) {
  return eventually(`${id} is ${state}`, async () => (await queue.getJobState(id)) === state, limit_ms);
}

/** Waits until nothing waits, runs or is delayed. */
export function settles(queue, limit_ms) {
  const busy = ["wait", "active", "delayed", "prioritized", "waiting-children"];
  return eventually(`${queue.name} is idle`, async () => (await queue.getJobCountByTypes(...busy)) === 0, limit_ms);
}
