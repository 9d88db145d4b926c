'use strict';
// The Node package runs tasks over HTTP, in its best configuration: it requests a hundred
// tasks every 10 ms.
//
//   node node-work.js QUEUE

process.env.IRONMQ_CONSUME_INTERVAL = '10';

const { ivy, queueOptions, functionOf, run } = require('../../interop-node/peer');
const { queue } = require('ivy/lib/queues');
const { TASK, serve } = require('./steps');

const BATCH = 100;
// Tasks per step. The server always has more, and the Node package would request them without end.
const ROUND = 1000;

const queueName = process.argv[2];
const settings = { ...queueOptions(queueName), messageSize: BATCH };
ivy.registerTask(functionOf(TASK.name, (...args) => args.pop()(null)), { name: TASK.name, queue: queueName });

// Observes the responses to the Node package's requests, which it does not report itself.
const underWay = { reserve: 0, del: 0 };
let answered = { reserve() {}, del() {} };

function watch(client, request) {
  const send = client[request];
  client[request] = function (...args) {
    const callback = args.pop();
    // The client calls back twice for a delete.
    let isAnswered = false;
    underWay[request] += 1;
    return send.call(this, ...args, (error, body) => {
      if (error) throw error;
      if (isAnswered) return;
      isAnswered = true;
      callback(error, body);
      underWay[request] -= 1;
      answered[request]();
    });
  };
}

// Runs tasks until there are enough, then waits until all of them are deleted.
function round() {
  return new Promise((resolve) => {
    let deleted = 0;
    const taken = () => deleted + underWay.del;
    const end = () => {
      if (taken() >= ROUND && underWay.reserve + underWay.del === 0) resolve(deleted);
    };
    answered = {
      reserve() {
        if (taken() >= ROUND) ivy.stopListening();
        end();
      },
      del() {
        deleted += 1;
        end();
      },
    };
    ivy.listen(settings, (error) => {
      if (error) throw error;
    });
  });
}

async function main() {
  await run((done) => ivy.setupQueue(settings, done));
  watch(queue.queue.getQueue(queueName), 'reserve');
  watch(queue.queue.getQueue(queueName), 'del');
  await serve(round);
}

main();
