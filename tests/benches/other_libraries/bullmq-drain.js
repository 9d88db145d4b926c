'use strict';
// BullMQ processes jobs that wait.
//
//   node bullmq-drain.js REDIS_URL

const { Queue, Worker } = require('bullmq');
const { QUEUE, TASK, serve } = require('./steps');

const BATCH = 1000;
const WAITING = 10000;

const connection = { url: process.argv[2] };
const queue = new Queue(QUEUE, { connection });
const jobs = Array.from({ length: BATCH }, () => ({ name: TASK.name, data: TASK, opts: { removeOnComplete: true } }));
const worker = new Worker(QUEUE, async (job) => job.data.args[0] * 2, {
  connection,
  concurrency: 100,
  autorun: false,
});

async function prepare() {
  await worker.pause();
  for (let sent = 0; sent < WAITING; sent += BATCH) await queue.addBulk(jobs);
}

function step() {
  return new Promise((resolve) => {
    let left = WAITING;
    const count = () => {
      left -= 1;
      if (left > 0) return;
      worker.off('completed', count);
      resolve(WAITING);
    };
    worker.on('completed', count);
    worker.resume();
  });
}

async function main() {
  await worker.waitUntilReady();
  worker.run();
  await serve(step, prepare);
}

main();
