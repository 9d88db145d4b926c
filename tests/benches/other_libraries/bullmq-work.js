'use strict';
// A BullMQ worker, which runs tasks until its input ends.
//
//   node bullmq-work.js REDIS_URL

const { Worker } = require('bullmq');
const { QUEUE } = require('./steps');

const connection = { url: process.argv[2] };
const worker = new Worker(QUEUE, async (job) => job.data.args[0] * 2, { connection, concurrency: 10 });

async function main() {
  await worker.waitUntilReady();
  console.log('ready');
  process.stdin.on('end', () => process.exit(0)).resume();
}

main();
