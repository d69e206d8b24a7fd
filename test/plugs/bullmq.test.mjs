// BullMQ over the ioredis shape.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import { IoRedis } from "../../dist/examples/adapters/ioredis.js";
import { lazyClusterConnection, lazyConnection } from "../../dist/redis.js";
import { RedisCluster, RedisServer, SentinelSet, until } from "../../dist/test/servers.js";
import { ioredis } from "./ioredis.mjs";

const all = ioredis({ aof: true });

/** A queue and its events, and a function that adds workers. All end with the test, and then `last`. */
function using(t, name, { connection = all.client(), last = () => {}, ...options } = {}) {
  const queue = new Queue(name, { connection, ...options });
  const events = new QueueEvents(name, { connection, ...options, lastEventId: "0-0" });
  const workers = [];
  const errors = [];
  for (const it of [queue, events]) it.on("error", (error) => errors.push(error));
  const close = async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    await Promise.all([events.close(), queue.close()]);
  };
  t.after(async () => {
    await close();
    await last();
  });
  const work = (run, more = {}) => {
    const worker = new Worker(name, run, { connection, runRetryDelay: 50, drainDelay: 1, ...options, ...more });
    worker.on("error", (error) => errors.push(error));
    workers.push(worker);
    return worker;
  };
  return { queue, events, errors, work, close };
}

/** A client of other servers than those of the other tests. */
const closing = (open, servers) => {
  const connection = new IoRedis(open);
  return { connection, last: () => connection.quit().then(() => servers.stop()) };
};

const allDone = (queue, count) =>
  until(async () => await queue.getCompletedCount().catch(() => 0) === count, `${count} jobs to be done`, 60_000);

test("BullMQ: jobs have results and progress, are retried, delayed and ordered; workers are seen by name", async (t) => {
  const { queue, events, work, errors, close } = using(t, "jobs");
  const ran = [];
  work(async (job) => {
    ran.push(`${job.name} ${job.data.n}`);
    if (job.name === "never") throw new UnrecoverableError("it never works");
    if (job.name === "thrice" && job.attemptsMade < 2) throw new Error("not yet");
    await job.updateProgress(50);
    return { twice: job.data.n * 2 };
  }, { name: "first" });
  const progress = once(events, "progress");
  await events.waitUntilReady();
  const job = await queue.add("once", { n: 21 });
  assert.deepEqual(await job.waitUntilFinished(events), { twice: 42 });
  assert.equal((await progress)[0].data, 50);

  const thrice = await queue.add("thrice", { n: 1 }, { attempts: 3, backoff: { type: "exponential", delay: 20 } });
  assert.deepEqual(await thrice.waitUntilFinished(events), { twice: 2 });
  assert.equal((await queue.getJob(thrice.id)).attemptsMade, 3);
  const never = await queue.add("never", { n: 1 }, { attempts: 9 });
  await assert.rejects(never.waitUntilFinished(events), /it never works/);
  assert.equal((await queue.getJob(never.id)).attemptsMade, 1);

  const begun = Date.now();
  const late = await queue.add("late", { n: 1 }, { delay: 700 });
  const state = await late.getState();
  if (Date.now() - begun < 700) assert.equal(state, "delayed"); // else this machine was slow, and it may have run
  await late.waitUntilFinished(events);
  assert.ok(Date.now() - begun >= 700);

  await queue.pause();
  ran.length = 0;
  const two = await Promise.all([queue.add("low", { n: 2 }, { priority: 9 }), queue.add("high", { n: 1 }, { priority: 1 })]);
  const counts = await queue.getJobCounts("prioritized", "completed", "failed");
  assert.deepEqual(counts, { prioritized: 2, completed: 3, failed: 1 });
  await queue.resume();
  await Promise.all(two.map((it) => it.waitUntilFinished(events)));
  assert.deepEqual(ran, ["high 1", "low 2"]);
  const completed = await queue.getJobs(["completed"]);
  assert.deepEqual(completed.map(({ name }) => name).sort(), ["high", "late", "low", "once", "thrice"]);

  assert.deepEqual((await queue.getWorkers()).map(({ rawname }) => rawname.endsWith(":w:first")), [true]);
  await queue.obliterate({ force: true });
  assert.deepEqual(await all.server.call("KEYS", "bull:jobs:*"), []);
  await close();
  assert.deepEqual(errors, []);
});

test("BullMQ: a thousand jobs by three workers, each once, with all their events", async (t) => {
  const { queue, events, work, errors, close } = using(t, "many");
  const [runs, heard] = [new Map(), new Set()];
  events.on("completed", ({ jobId }) => heard.add(jobId));
  await events.waitUntilReady();
  for (let i = 0; i < 3; i++) work(async ({ id }) => void runs.set(id, (runs.get(id) ?? 0) + 1), { concurrency: 10 });
  const jobs = await queue.addBulk(Array.from({ length: 1_000 }, (_, n) => ({ name: "one", data: { n } })));
  await allDone(queue, 1_000);
  assert.deepEqual(new Set(runs.values()), new Set([1]));
  assert.equal(runs.size, jobs.length);
  await until(() => heard.size === 1_000, "all events");
  await close();
  assert.deepEqual(errors, []);
});

test("BullMQ: a scheduler repeats its job, and a flow runs the parent after its children, with their results", async (t) => {
  const { queue, events, work, errors, close } = using(t, "flows");
  const connection = all.client();
  const run = async (job) => job.name === "parent" ? Object.values(await job.getChildrenValues()).sort() : job.data.n;
  work(run, { concurrency: 4 });
  await queue.upsertJobScheduler("every", { every: 100 }, { name: "tick", data: { n: 7 } });
  await until(async () => await queue.getCompletedCount() >= 3, "three ticks");
  assert.deepEqual((await queue.getJobSchedulers()).map(({ name }) => name), ["tick"]);
  assert.equal(await queue.removeJobScheduler("every"), true);

  await events.waitUntilReady();
  const flows = new FlowProducer({ connection });
  const children = [1, 2, 3].map((n) => ({ name: "child", queueName: "flows", data: { n } }));
  const { job } = await flows.add({ name: "parent", queueName: "flows", children });
  assert.deepEqual(await job.waitUntilFinished(events), [1, 2, 3]);
  assert.equal((await job.getDependenciesCount()).processed, 3);
  assert.deepEqual(Object.values((await job.getDependencies({ processed: { count: 10 } })).processed).sort(), [1, 2, 3]);
  const tree = await flows.getFlow({ id: job.id, queueName: "flows" });
  assert.deepEqual(tree.children.map(({ job: { data } }) => data.n).sort(), [1, 2, 3]);
  await flows.close();
  await close();
  assert.deepEqual(errors, []);
});

test("BullMQ: the server restarts while jobs run and wait, and each is done exactly once", async (t) => {
  const { queue, work } = using(t, "restart");
  const runs = new Map();
  let open;
  const gate = new Promise((resolve) => { open = resolve; });
  for (let i = 0; i < 2; i++) {
    work(async ({ id }) => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      await gate;
      return id;
    }, { concurrency: 5, lockDuration: 600_000 });
  }
  await queue.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: "one", data: { n } })));
  await until(() => runs.size === 10, "ten jobs to run");
  const idle = using(t, "idle"); // waits for jobs in BZPOPMIN
  await idle.work(async () => "done").waitUntilReady();
  await all.server.kill();
  await assert.rejects(queue.add("down", {}), /Connection is closed/);
  await all.server.restart();
  open();
  await allDone(queue, 50);
  assert.equal(runs.size, 50);
  assert.deepEqual(new Set(runs.values()), new Set([1]));
  const left = await queue.getJobCounts("failed", "active", "wait", "delayed");
  assert.deepEqual(left, { failed: 0, active: 0, wait: 0, delayed: 0 });
  await until(() => idle.queue.add("after", {}).then(() => true, () => false), "the queue to be back");
  await until(async () => await idle.queue.getCompletedCount() > 0, "the idle worker to be back");
});

test("BullMQ: the server is killed again and again under load, and no job is lost", async (t) => {
  const { queue, work } = using(t, "killed");
  const done = new Set();
  const more = { concurrency: 5, lockDuration: 1_000, stalledInterval: 300, maxStalledCount: 1_000 };
  for (let i = 0; i < 2; i++) work(async ({ data }) => void done.add(data.n), more);
  let added = 0;
  for (let kill = 0; kill < 3; kill++) {
    const goal = added + 100;
    while (added < goal) { // one that fails is added again, by the same id
      await queue.add("one", { n: added }, { jobId: `job-${added}` }).then(() => added++, () => {});
    }
    const half = goal - 50;
    await until(() => done.size >= half, "half of them");
    await all.server.kill();
    await all.server.restart();
  }
  await allDone(queue, added);
  assert.equal(done.size, added);
  assert.equal(await queue.getFailedCount(), 0);
});

test("BullMQ: a queue and a worker that open before their server is there begin when it is", async (t) => {
  const server = await RedisServer.start();
  const { host, port } = server;
  await server.kill();
  const own = closing((name) => lazyConnection({ host, port, name }), server);
  const { queue, events, work, errors } = using(t, "early", own);
  work(async () => "done");
  await until(() => errors.length > 0, "the error to be told");
  await server.restart();
  await events.waitUntilReady();
  const job = await queue.add("one", {});
  assert.equal(await job.waitUntilFinished(events), "done");
});

test("BullMQ: by way of Sentinels, jobs go on after a failover", async (t) => {
  const set = await SentinelSet.start({ replicas: 1 });
  const own = closing((name) => lazyConnection({ sentinels: set.hosts, master: set.name, name }), set);
  const { queue, work } = using(t, "sentinels", own);
  let open;
  const gate = new Promise((resolve) => { open = resolve; });
  const runs = [];
  work(async ({ id }) => {
    runs.push(id);
    await gate;
  }, { lockDuration: 600_000 });
  await queue.addBulk(Array.from({ length: 5 }, (_, n) => ({ name: "one", data: { n } })));
  await until(() => runs.length === 1, "the first job to run");
  const master = await set.master();
  await master.call("SET", "behind", "all");
  assert.equal(await master.call("WAIT", "1", "30000"), 1); // so the replica has all of it
  await master.kill();
  await until(async () => ![undefined, master].includes(await set.master()), "another master", 60_000);
  open();
  await allDone(queue, 5);
  assert.equal(new Set(runs).size, 5);
  assert.equal(runs.length, 5);
});

test("BullMQ: in a cluster, with the queue's keys in one slot", async (t) => {
  const cluster = await RedisCluster.start({ replicas: 0 });
  const open = (name) => lazyClusterConnection([cluster.hosts[0]], { name });
  const { queue, events, work, errors, close } = using(t, "jobs", { ...closing(open, cluster), prefix: "{bull}" });
  work(async ({ data }) => data.n);
  await events.waitUntilReady();
  const jobs = await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: "one", data: { n } })));
  for (const [n, job] of jobs.entries()) assert.equal(await job.waitUntilFinished(events), n);
  const late = await queue.add("late", { n: 7 }, { delay: 300 });
  assert.equal(await late.waitUntilFinished(events), 7);
  assert.equal((await queue.getWorkers()).length, 3); // its connection to each node
  await close();
  assert.deepEqual(errors, []);
});
