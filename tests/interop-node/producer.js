'use strict';
// A producer of the Node package.
//
//   node producer.js '{"queue": Q, "tasks": {NAME: OPTIONS, ..}}'
//
// Events:   ready | sent (name) | refused (name, error) | callback (name, args) | scheduled (tasks) | pong
// Commands: call (name, args) | scheduled | ping
//
// The Node package receives only the first result after it subscribed, so one process can handle only one
// callback. It crashes on a result whose task it has not registered.

const { ivy, emit, queueOptions, functionOf, run, serve } = require('./peer');

const setup = JSON.parse(process.argv[2]);
const functions = {};

for (const [name, options] of Object.entries(setup.tasks)) {
  functions[name] = functionOf(name, () => {
    throw new Error('a producer runs no task');
  });
  const onResult = (...args) => emit({ event: 'callback', name, args });
  ivy.registerTask(functions[name], onResult, { name, queue: setup.queue, ...options });
}

async function main() {
  await run((done) => ivy.setupQueue(queueOptions(setup.queue), done));
  await run((done) => ivy.startNotificationConsumer({ type: 'redis' }, done));
  serve({
    call({ name, args }) {
      ivy.delayedCall(functions[name], ...args, (error) =>
        emit(error ? { event: 'refused', name, error: error.message } : { event: 'sent', name }));
    },
    scheduled() {
      const { queue } = require('ivy/lib/queues');
      queue.getScheduledTasks({ queue: setup.queue }, (error, tasks) =>
        emit(error ? { event: 'refused', error: error.message } : { event: 'scheduled', tasks: Object.values(tasks) }));
    },
  });
  emit({ event: 'ready' });
}

main();
