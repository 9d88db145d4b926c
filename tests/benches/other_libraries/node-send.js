'use strict';
// The Node package sends tasks over HTTP: 64 callers send again when their send has completed.
//
//   node node-send.js QUEUE

const { ivy, queueOptions, functionOf, run } = require('../../interop-node/peer');
const { TASK, serve } = require('./steps');

const CALLERS = 64;
const EACH = 4;

const queue = process.argv[2];
const { name, options, args } = TASK;
const task = functionOf(name, () => {});
ivy.registerTask(task, { name, queue, ...options });

async function caller() {
  for (let n = 0; n < EACH; n += 1) await run((done) => ivy.delayedCall(task, ...args, done));
}

async function main() {
  await run((done) => ivy.setupQueue(queueOptions(queue), done));
  await serve(async () => {
    await Promise.all(Array.from({ length: CALLERS }, caller));
    return CALLERS * EACH;
  });
}

main();
