'use strict';
// Shared code of the scripts that run the Node package.
//
// A script is driven by JSON lines: it reads commands from its standard input, writes events to its
// standard output, and ends when the input ends. All other output of the Node package is its log.

const readline = require('readline');

const ivy = require('ivy');

function emit(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

// The queue settings of the Node package, from the environment.
function queueOptions(queueName) {
  const options = {
    type: 'ironmq',
    queueName,
    auth: {
      token: process.env.IRON_MQ_TOKEN,
      projectId: process.env.IRON_MQ_PROJECT_ID,
    },
  };
  if (process.env.MESSAGES_ENCRYPTION_KEY) {
    options.encryptionKey = process.env.MESSAGES_ENCRYPTION_KEY;
  }
  return options;
}

// The Node package finds a registered function by its source text, so each task needs a unique text.
function functionOf(name, body) {
  return new Function('body', `return function () { ${JSON.stringify(name)}; return body.apply(this, arguments); }`)(body);
}

// Calls `step(done)` of the Node package as a promise.
function run(step) {
  return new Promise((resolve, reject) => step((error) => (error ? reject(error) : resolve())));
}

// Reads commands until the input ends. `ping` checks that the process is up and responsive.
function serve(commands) {
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => {
    const command = JSON.parse(line);
    if (command.do === 'ping') {
      emit({ event: 'pong' });
    } else {
      commands[command.do](command);
    }
  });
  input.on('close', () => process.exit(0));
}

module.exports = { ivy, emit, queueOptions, functionOf, run, serve };
