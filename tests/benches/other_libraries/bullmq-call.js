'use strict';
// BullMQ calls a task and waits for its result.
//
//   node bullmq-call.js REDIS_URL

const { Queue, QueueEvents } = require('bullmq');
const { QUEUE, TASK, serve } = require('./steps');

const connection = { url: process.argv[2] };
const queue = new Queue(QUEUE, { connection });
// Reads from the first event on: by default it would miss events from before its subscription.
const events = new QueueEvents(QUEUE, { connection, lastEventId: '0' });

async function main() {
  await events.waitUntilReady();
  await serve(async () => {
    // A job that is removed immediately has no result for the caller.
    const job = await queue.add(TASK.name, TASK, { removeOnComplete: { count: 1000 } });
    const result = await job.waitUntilFinished(events);
    if (result !== 10) throw new Error(`the result is ${result}`);
    return 1;
  });
}

main();
