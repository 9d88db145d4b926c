'use strict';
// The Node package with everything in memory: calls and their results, many at a time.
//
//   node node-memory.js CALLS

// The interval at which it polls for tasks and results, in milliseconds. The default is 10.
process.env.MEMORY_QUEUE_CONSUME_INTERVAL = '1';
process.env.MEMORY_NOTIFIER_CONSUME_INTERVAL = '1';

const { ivy, functionOf, run } = require('../../interop-node/peer');
const { QUEUE, TASK, serve } = require('./steps');

const calls = Number(process.argv[2]);
const { name, options, args } = TASK;
let resumed;

const task = functionOf(name, (n, done) => done(null, n * 2));
ivy.registerTask(task, () => resumed(), { name, queue: QUEUE, ...options });

function step() {
  return new Promise((resolve) => {
    let left = calls;
    resumed = () => {
      left -= 1;
      if (left === 0) resolve(calls);
    };
    for (let n = 0; n < calls; n += 1) {
      ivy.delayedCall(task, ...args, (error) => {
        if (error) throw error;
      });
    }
  });
}

async function main() {
  await run((done) => ivy.startNotificationProducer({ type: 'memory' }, done));
  await run((done) => ivy.startNotificationConsumer({ type: 'memory' }, done));
  await run((done) => ivy.listen({ type: 'memory', queueName: QUEUE }, done));
  await serve(step);
}

main();
