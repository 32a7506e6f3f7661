import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bus, Mailbox } from '../src/index.js';

test('a mailbox collects', () => {
  const bus = new Bus();
  const box = new Mailbox(bus, 'a.**');
  bus.publish('a.b', 1);
  bus.publish('b', 2);
  bus.publish('a', 3);
  assert.equal(box.size, 2);
  assert.deepEqual(box.take().map((message) => message.payload), [1, 3]);
  assert.equal(box.size, 0);
});

test('what was taken stays as it is', () => {
  const bus = new Bus();
  const box = new Mailbox(bus, 'a');
  bus.publish('a', 1);
  const taken = box.take();
  bus.publish('a', 2);
  assert.equal(taken.length, 1);
});

test('a full mailbox keeps the newest', () => {
  const bus = new Bus();
  const box = new Mailbox(bus, 'a', 2);
  for (const payload of [1, 2, 3]) {
    bus.publish('a', payload);
  }
  assert.deepEqual(box.take().map((message) => message.payload), [2, 3]);
});

test('a closed mailbox collects nothing more', () => {
  const bus = new Bus();
  const box = new Mailbox(bus, 'a');
  bus.publish('a', 1);
  assert.equal(box.close(), true);
  bus.publish('a', 2);
  assert.equal(box.size, 1);
});

test('a mailbox has room for one message at least', () => {
  assert.throws(() => new Mailbox(new Bus(), 'a', 0), RangeError);
});
