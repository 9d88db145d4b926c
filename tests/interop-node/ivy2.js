'use strict';
// Opens and seals `$ivy2$` frames using only Node's own crypto module. Copy the two functions into a
// peer of yours: PROTOCOL.md specifies what they do.

const crypto = require('crypto');

// The keys of a key id, from its secret of 32 to 64 bytes. Cache them: deriving is slow.
function keysOf(kid, secret) {
  const bytes = Buffer.from(crypto.hkdfSync('sha512', secret, '', `ivy2 keys ${kid}`, 128));
  return { mac: bytes.subarray(0, 32), enc: bytes.subarray(32, 64), ivk: bytes.subarray(64, 96) };
}

// The associated data: the purpose of the frame ('task', 'note', 'dead' or 'presence'), and the
// queue or channel that it is in.
function placeOf(kid, purpose, scope) {
  const parts = [kid, purpose, scope].map((text) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    return Buffer.concat([length, bytes]);
  });
  return Buffer.concat([Buffer.from('ivy2\0'), ...parts]);
}

function tagOf(keys, aad, sealed) {
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(8 * aad.length));
  return crypto.createHmac('sha512', keys.mac).update(aad).update(sealed).update(bits).digest().subarray(0, 32);
}

// The text of a frame. `secrets` has a Buffer for each key id.
function open(secrets, purpose, scope, frame) {
  const fields = frame.split('$');
  const [before, kind, kid, content] = fields;
  if (fields.length !== 4 || before !== '' || kind !== 'ivy2') throw new Error('not an ivy2 frame');
  if (!Object.hasOwn(secrets, kid)) throw new Error('unknown key');
  const raw = Buffer.from(content, 'base64url');
  if (raw.toString('base64url') !== content) throw new Error('not base64url');
  if (raw.length < 64 || raw.length % 16 !== 0) throw new Error('not whole blocks');
  const keys = keysOf(kid, secrets[kid]);
  const [sealed, tag] = [raw.subarray(0, -32), raw.subarray(-32)];
  // Verify the whole tag before decrypting anything.
  if (!crypto.timingSafeEqual(tag, tagOf(keys, placeOf(kid, purpose, scope), sealed))) throw new Error('not authentic');
  const decipher = crypto.createDecipheriv('aes-256-cbc', keys.enc, sealed.subarray(0, 16));
  // Join the bytes before decoding: a character may lie across two pieces.
  return Buffer.concat([decipher.update(sealed.subarray(16)), decipher.final()]).toString('utf8');
}

// The frame of a text. `entropy` is 16 random bytes, which must never be used twice.
function seal(secrets, kid, purpose, scope, text, entropy = crypto.randomBytes(16)) {
  const keys = keysOf(kid, secrets[kid]);
  const aad = placeOf(kid, purpose, scope);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(aad.length));
  const iv = crypto.createHmac('sha512', keys.ivk)
    .update(entropy).update(length).update(aad).update(text).digest().subarray(0, 16);
  const cipher = crypto.createCipheriv('aes-256-cbc', keys.enc, iv);
  const sealed = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final()]);
  return `$ivy2$${kid}$` + Buffer.concat([sealed, tagOf(keys, aad, sealed)]).toString('base64url');
}

module.exports = { open, seal };

// For the tests, driven by JSON lines: each input line requests to open or seal, and gets one output line.
if (require.main === module) {
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { secrets, purpose, scope, frame, kid, text, entropy } = JSON.parse(line);
    const keys = Object.fromEntries(Object.entries(secrets).map(([id, hex]) => [id, Buffer.from(hex, 'hex')]));
    const response = {};
    try {
      if (frame !== undefined) response.text = open(keys, purpose, scope, frame);
      else response.frame = seal(keys, kid, purpose, scope, text, entropy && Buffer.from(entropy, 'hex'));
    } catch (error) {
      response.error = error.message;
    }
    process.stdout.write(JSON.stringify({ event: 'response', ...response }) + '\n');
  });
  process.stdout.write(JSON.stringify({ event: 'ready' }) + '\n');
}
