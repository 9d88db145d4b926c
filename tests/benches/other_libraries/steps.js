'use strict';
// Shared code of the scripts in this directory.
//
// A script runs one step for each line that it reads, and prints the number of operations and the
// microseconds that they took. It ends when its input ends.

const readline = require('readline');

// How long to warm up in milliseconds, for the just-in-time compiler.
const WARM_UP = 1000;

// The message, the same as in ivy's own loads: 84 bytes.
const QUEUE = 'testpackage';
const TASK = { name: 'testpackage.factorial', options: { retry: true, maxRetries: 10 }, args: [5] };

// Runs steps: `step()` returns a promise of the number of operations. The time of `prepare()`, which runs before
// each step, is not measured.
async function serve(step, prepare = async () => {}) {
  const started = performance.now();
  while (performance.now() - started < WARM_UP) {
    await prepare();
    await step();
  }
  console.log('ready');
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    await prepare();
    const started = performance.now();
    const operations = await step();
    console.log(`${operations} ${(performance.now() - started) * 1000}`);
  }
  process.exit(0);
}

module.exports = { QUEUE, TASK, serve };
