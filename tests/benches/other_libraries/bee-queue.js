'use strict';
// Bee-Queue sends jobs by the thousand, works them off, or calls one and waits for its result.
//
//   node bee-queue.js send|work|call REDIS_URL

const BeeQueue = require('bee-queue');
const { QUEUE, TASK, serve } = require('./steps');

const BATCH = 1000;
const WAITING = 10000;
const CONCURRENCY = 100;

const [what, url] = process.argv.slice(2);
// Without what costs time and is not needed.
const settings = {
  redis: { url },
  isWorker: false,
  getEvents: false,
  sendEvents: false,
  storeJobs: false,
  removeOnSuccess: true,
};
const double = (job) => job.data.args[0] * 2;

async function saveAll(queue, count) {
  const errors = await queue.saveAll(Array.from({ length: count }, () => queue.createJob(TASK)));
  if (errors.size > 0) throw new Error('a job was not saved');
}

async function send() {
  const queue = new BeeQueue(QUEUE, settings);
  await queue.ready();
  await serve(async () => {
    await saveAll(queue, BATCH);
    return BATCH;
  });
}

// A queue can be processed once only, so each step has a new one.
async function work() {
  const producer = new BeeQueue(QUEUE, settings);
  await producer.ready();
  let worker;
  const prepare = async () => {
    if (worker) await worker.close();
    for (let sent = 0; sent < WAITING; sent += BATCH) await saveAll(producer, BATCH);
    worker = new BeeQueue(QUEUE, { ...settings, isWorker: true });
    await worker.ready();
  };
  const step = () =>
    new Promise((resolve) => {
      let left = WAITING;
      worker.on('succeeded', () => {
        left -= 1;
        if (left === 0) resolve(WAITING);
      });
      worker.process(CONCURRENCY, async (job) => double(job));
    });
  await serve(step, prepare);
}

async function call() {
  const worker = new BeeQueue(QUEUE, { ...settings, isWorker: true, sendEvents: true });
  worker.process(CONCURRENCY, async (job) => double(job));
  const caller = new BeeQueue(QUEUE, { ...settings, getEvents: true, storeJobs: true });
  await Promise.all([worker.ready(), caller.ready()]);
  await serve(async () => {
    const job = caller.createJob(TASK);
    const result = new Promise((resolve, reject) => job.on('succeeded', resolve).on('failed', reject));
    await job.save();
    if ((await result) !== 10) throw new Error('another result');
    return 1;
  });
}

({ send, work, call })[what]();
