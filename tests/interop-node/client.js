'use strict';
// Calls the methods of the official IronMQ client for Node, except those about the status of pushed
// messages, against the server that the environment specifies (IRON_MQ_*). Prints one JSON line for
// each check that passes and exits with an error at the first that fails.

const assert = require('assert');

const { Client } = require('iron_mq');

const mq = new Client();

// The client calls some callbacks twice, the second time with the first call's return value; a promise
// uses only the first call.
function call(target, verb, ...args) {
  return new Promise((resolve, reject) => {
    target[verb](...args, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

const checks = {
  async 'create_queue returns the given settings'() {
    const { queue } = await call(mq, 'create_queue', 'node-settings', { message_timeout: 77, message_expiration: 3600 });
    assert.strictEqual(queue.name, 'node-settings');
    assert.strictEqual(queue.type, 'pull');
    assert.strictEqual(queue.message_timeout, 77);
    assert.strictEqual(queue.message_expiration, 3600);
  },

  async 'create_queue without settings uses the defaults'() {
    const { queue } = await call(mq, 'create_queue', 'node-defaults', undefined);
    assert.strictEqual(queue.message_timeout, 60);
    assert.strictEqual(queue.message_expiration, 604800);
  },

  async 'update_queue and update change one setting and preserve the rest'() {
    const first = await call(mq, 'update_queue', 'node-settings', { message_timeout: 88 });
    assert.strictEqual(first.queue.message_timeout, 88);
    assert.strictEqual(first.queue.message_expiration, 3600);
    const second = await call(mq.queue('node-settings'), 'update', { message_expiration: 7200 });
    assert.strictEqual(second.queue.message_timeout, 88);
    assert.strictEqual(second.queue.message_expiration, 7200);
  },

  async 'queues lists by prefix, in order, after a name'() {
    for (const name of ['node-list-c', 'node-list-a', 'node-list-b']) await call(mq, 'create_queue', name, {});
    const names = async (options) => (await call(mq, 'queues', options)).map((queue) => queue.name);
    assert.deepStrictEqual(await names({ prefix: 'node-list-' }), ['node-list-a', 'node-list-b', 'node-list-c']);
    assert.deepStrictEqual(await names({ prefix: 'node-list-', per_page: 2 }), ['node-list-a', 'node-list-b']);
    assert.deepStrictEqual(await names({ prefix: 'node-list-', previous: 'node-list-b' }), ['node-list-c']);
  },

  async 'info counts the messages'() {
    const queue = mq.queue('node-info');
    await call(queue, 'post', ['a', 'b']);
    const info = await call(queue, 'info');
    assert.strictEqual(info.name, 'node-info');
    assert.strictEqual(info.size, 2);
    assert.strictEqual(info.total_messages, 2);
  },

  async 'post accepts a text, an object and a list, and returns ids'() {
    const queue = mq.queue('node-post');
    const text = await call(queue, 'post', 'text');
    const object = await call(queue, 'post', { body: 'object' });
    const list = await call(queue, 'post', ['one', { body: 'two' }]);
    assert.match(text, /^[0-9]{19}$/);
    assert.match(object, /^[0-9]{19}$/);
    assert.strictEqual(list.length, 2);
    assert.strictEqual(new Set([text, object, ...list]).size, 4);
  },

  async 'post creates a missing queue, and a delayed message stays hidden'() {
    const queue = mq.queue('node-delayed');
    await call(queue, 'post', { body: 'later', delay: 3600 });
    assert.strictEqual(await call(queue, 'reserve', {}), undefined);
    assert.strictEqual((await call(queue, 'info')).size, 1);
  },

  async 'a body of any text is returned unchanged'() {
    const queue = mq.queue('node-text');
    const bodies = ['', ' ', 'žluťoučký kůň 馬 🐴', '{"a":"\\u0000\\ud800"}', '"quoted" \\ / \n\t'];
    await call(queue, 'post', bodies);
    const messages = await call(queue, 'reserve', { n: 10 });
    assert.deepStrictEqual(messages.map((message) => message.body), bodies);
  },

  async 'get and reserve give one message, get_n gives several'() {
    const queue = mq.queue('node-reserve');
    const ids = await call(queue, 'post', ['1', '2', '3', '4', '5']);
    const first = await call(queue, 'get', { timeout: 60 });
    const second = await call(queue, 'reserve', { timeout: 60 });
    const rest = await call(queue, 'get_n', { n: 100 });
    assert.deepStrictEqual([first, second, ...rest].map((message) => message.id), ids);
    assert.strictEqual(first.reserved_count, 1);
    assert.match(first.reservation_id, /^[0-9a-f]{32}$/);
    assert.strictEqual(await call(queue, 'reserve', {}), undefined);
    assert.deepStrictEqual(await call(queue, 'get_n', { n: 2 }), []);
  },

  async 'reserve waits for a message'() {
    const queue = mq.queue('node-wait');
    await call(mq, 'create_queue', 'node-wait', {});
    const waiting = call(queue, 'reserve', { wait: 20 });
    await call(queue, 'post', 'awaited');
    assert.strictEqual((await waiting).body, 'awaited');
  },

  async 'reserve with delete removes the message'() {
    const queue = mq.queue('node-pop');
    const id = await call(queue, 'post', 'popped');
    assert.strictEqual((await call(queue, 'reserve', { delete: true })).id, id);
    await assert.rejects(call(queue, 'msg_get', id), /not found|Unknown error/);
  },

  async 'peek and peek_n show messages and reserve none'() {
    const queue = mq.queue('node-peek');
    const ids = await call(queue, 'post', ['x', 'y', 'z']);
    assert.strictEqual((await call(queue, 'peek', {})).id, ids[0]);
    const peeked = await call(queue, 'peek_n', { n: 2 });
    assert.deepStrictEqual(peeked.map((message) => message.id), ids.slice(0, 2));
    assert.strictEqual(peeked[0].reserved_count, 0);
    assert.strictEqual(peeked[0].reservation_id, undefined);
    assert.strictEqual((await call(queue, 'get_n', { n: 100 })).length, 3);
    assert.deepStrictEqual(await call(queue, 'peek_n', { n: 2 }), []);
  },

  async 'msg_get finds a message by its id'() {
    const queue = mq.queue('node-by-id');
    const id = await call(queue, 'post', 'found');
    assert.deepStrictEqual(await call(queue, 'msg_get', id), { id, body: 'found', reserved_count: 0 });
  },

  async 'del removes an unreserved message without a reservation id'() {
    const queue = mq.queue('node-del-free');
    const id = await call(queue, 'post', 'free');
    assert.deepStrictEqual(await call(queue, 'del', id, {}), { msg: 'Deleted' });
    await assert.rejects(call(queue, 'del', id, {}), /Message not found/);
  },

  async 'del of a held message needs the right reservation id'() {
    const queue = mq.queue('node-del-held');
    const id = await call(queue, 'post', 'held');
    const { reservation_id } = await call(queue, 'reserve', {});
    await assert.rejects(call(queue, 'del', id, {}), /reservation_id is required/);
    await assert.rejects(call(queue, 'del', id, { reservation_id: '0'.repeat(32) }), /Reservation/);
    assert.deepStrictEqual(await call(queue, 'del', id, { reservation_id }), { msg: 'Deleted' });
  },

  async 'del_multiple removes by ids and by reservations'() {
    const queue = mq.queue('node-del-many');
    const ids = await call(queue, 'post', ['1', '2']);
    assert.deepStrictEqual(await call(queue, 'del_multiple', { ids }), { msg: 'Deleted' });
    await call(queue, 'post', ['3', '4']);
    const reservation_ids = await call(queue, 'get_n', { n: 2 });
    assert.deepStrictEqual(await call(queue, 'del_multiple', { reservation_ids }), { msg: 'Deleted' });
    assert.strictEqual((await call(queue, 'info')).size, 0);
  },

  async 'msg_touch returns a new reservation id and ends the old one'() {
    const queue = mq.queue('node-touch');
    const id = await call(queue, 'post', 'touched');
    const held = await call(queue, 'reserve', { timeout: 60 });
    const touched = await call(queue, 'msg_touch', id, held.reservation_id, { timeout: 120 });
    assert.strictEqual(touched.msg, 'Touched');
    assert.notStrictEqual(touched.reservation_id, held.reservation_id);
    await assert.rejects(call(queue, 'msg_touch', id, held.reservation_id, {}), /Reservation/);
    await call(queue, 'del', id, { reservation_id: touched.reservation_id });
  },

  async 'msg_release returns a message to the front, immediately or later'() {
    const queue = mq.queue('node-release');
    const [id] = await call(queue, 'post', ['first', 'second']);
    const held = await call(queue, 'reserve', {});
    assert.deepStrictEqual(await call(queue, 'msg_release', id, held.reservation_id, {}), { msg: 'Released' });
    const again = await call(queue, 'reserve', {});
    assert.strictEqual(again.id, id);
    assert.strictEqual(again.reserved_count, 2);
    await call(queue, 'msg_release', id, again.reservation_id, { delay: 3600 });
    assert.strictEqual((await call(queue, 'reserve', {})).body, 'second');
  },

  async 'clear empties a queue, including held messages'() {
    const queue = mq.queue('node-clear');
    await call(queue, 'post', ['1', '2', '3']);
    await call(queue, 'reserve', {});
    assert.deepStrictEqual(await call(queue, 'clear'), { msg: 'Cleared' });
    const info = await call(queue, 'info');
    assert.strictEqual(info.size, 0);
    assert.strictEqual(info.total_messages, 3);
  },

  async 'del_queue removes a queue'() {
    const queue = mq.queue('node-gone');
    await call(queue, 'post', 'lost');
    assert.deepStrictEqual(await call(queue, 'del_queue'), { msg: 'Deleted.' });
    await assert.rejects(call(queue, 'del_queue'), /Queue not found/);
    await assert.rejects(call(queue, 'reserve', {}), /Queue not found/);
    await assert.rejects(call(queue, 'clear'), /Queue not found/);
  },

  async 'messages that were reserved too often go to the dead-letter queue'() {
    await call(mq, 'create_queue', 'node-poison', {
      dead_letter: { queue_name: 'node-poison-dead', max_reservations: 1 },
    });
    const queue = mq.queue('node-poison');
    const id = await call(queue, 'post', 'poison');
    const held = await call(queue, 'reserve', {});
    await call(queue, 'msg_release', id, held.reservation_id, {});
    assert.strictEqual(await call(queue, 'reserve', {}), undefined);
    assert.strictEqual((await call(mq.queue('node-poison-dead'), 'peek', {})).id, id);
  },

  async 'subscribers of a push queue are added, replaced and removed'() {
    const subscriber = (name) => ({ name, url: `http://127.0.0.1/${name}` });
    const { queue } = await call(mq, 'create_queue', 'node-push', {
      type: 'multicast',
      push: { subscribers: [subscriber('first')], retries: 7 },
    });
    assert.strictEqual(queue.type, 'multicast');
    assert.strictEqual(queue.push.retries, 7);
    const push = mq.queue('node-push');
    const names = async () => (await call(push, 'info')).push.subscribers.map(({ name }) => name);
    assert.deepStrictEqual(await call(push, 'add_subscribers', subscriber('second')), { msg: 'Updated' });
    assert.deepStrictEqual(await names(), ['first', 'second']);
    await call(push, 'rpl_subscribers', [subscriber('third'), subscriber('fourth')]);
    assert.deepStrictEqual(await names(), ['third', 'fourth']);
    await call(push, 'rm_subscribers', { name: 'third' });
    assert.deepStrictEqual(await names(), ['fourth']);
    await assert.rejects(call(push, 'rm_subscribers', { name: 'fourth' }), /at least one subscriber/);
  },

  async 'a wrong token is refused'() {
    const stranger = new Client({ token: 'wrong' });
    await assert.rejects(call(stranger.queue('node-post'), 'reserve', {}), /Invalid project\/token combination/);
  },
};

async function main() {
  for (const [check, run] of Object.entries(checks)) {
    await run().catch((error) => {
      error.message = `${check}: ${error.message}`;
      throw error;
    });
    process.stdout.write(JSON.stringify({ held: check }) + '\n');
  }
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
