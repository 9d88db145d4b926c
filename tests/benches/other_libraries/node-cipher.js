'use strict';
// The Node package seals a message, or opens it.
//
//   node node-cipher.js seal|open

const cipher = require('ivy/lib/tokencrypto');
const { TASK, serve } = require('./steps');

const TIMES = 1000;
const PASSWORD = 'a password';

const text = JSON.stringify(TASK);
let frame;
const seal = () =>
  cipher.getEncrypted(text, PASSWORD, (error, sealed) => {
    if (error) throw error;
    frame = sealed;
  });
const open = () =>
  cipher.getDecrypted(frame, PASSWORD, (error, opened) => {
    if (error || opened !== text) throw error || new Error(`opened as ${opened}`);
  });

seal();
const operation = { seal, open }[process.argv[2]];
serve(async () => {
  for (let n = 0; n < TIMES; n += 1) operation();
  return TIMES;
});
