'use strict';
// A worker of the Node package.
//
//   node worker.js '{"queue": Q, "tasks": {NAME: BEHAVIOUR, ..}, "silent": [NAME, ..]}'
//
// Behaviours: factorial | echo (all arguments) | concat | nothing | fail.
// Events:   ready | executed (name, args, result, error?) | pong
// Commands: ping
//
// A task listed as silent is registered without a callback: the Node package then sends no result.

const { ivy, emit, queueOptions, functionOf, run, serve } = require('./peer');

const behaviours = {
  factorial(n, done) {
    let product = 1;
    for (let i = 2; i <= n; i += 1) product *= i;
    done(null, product);
  },
  echo(...args) {
    const done = args.pop();
    done(null, ...args);
  },
  concat(...args) {
    const done = args.pop();
    done(null, args.join(''));
  },
  nothing(...args) {
    args.pop()(null);
  },
  fail(...args) {
    args.pop()(new Error('this task always fails'));
  },
};

const setup = JSON.parse(process.argv[2]);

for (const [name, behaviour] of Object.entries(setup.tasks)) {
  const silent = (setup.silent || []).includes(name);
  // Not `null`: the Node package would treat that as its options.
  const onResult = silent ? undefined : () => {};
  ivy.registerTask(functionOf(name, behaviours[behaviour]), onResult, { name, queue: setup.queue });
}

ivy.on('taskExecuted', (error, { name, args, result }) =>
  emit({ event: 'executed', name, args, result, ...(error && { error: error.message }) }));

async function main() {
  // The notifier first: otherwise the first result would have none.
  await run((done) => ivy.startNotificationProducer({ type: 'redis' }, done));
  await run((done) => ivy.listen(queueOptions(setup.queue), done));
  serve({});
  emit({ event: 'ready' });
}

main();
