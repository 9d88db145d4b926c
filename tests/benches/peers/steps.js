'use strict';
// What the scripts here have in common.
//
// A script does one step for each line that it reads, and prints how many operations that were and
// how many microseconds they took. It ends when its input ends.

const readline = require('readline');

// For so many milliseconds, code that is compiled while it runs is given time for that.
const WARM_UP = 1000;

// What is sent, the same that ivy's own loads send. All of it is 84 bytes.
const QUEUE = 'testpackage';
const TASK = { name: 'testpackage.factorial', options: { retry: true, maxRetries: 10 }, args: [5] };

// Does steps: `step()` promises how many operations it has done.
async function serve(step) {
  const started = performance.now();
  while (performance.now() - started < WARM_UP) await step();
  console.log('ready');
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    const started = performance.now();
    const operations = await step();
    console.log(`${operations} ${(performance.now() - started) * 1000}`);
  }
  process.exit(0);
}

module.exports = { QUEUE, TASK, serve };
