import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bus } from '../src/index.js';

const note = (log, name) => () => log.push(name);

test('a message reaches those who match', () => {
  const bus = new Bus();
  const log = [];
  bus.subscribe('a.*', (message) => log.push([message.topic, message.payload, message.number]));
  assert.equal(bus.publish('a.b', 5), 1);
  assert.equal(bus.publish('b.b', 6), 0);
  assert.deepEqual(log, [['a.b', 5, 1]]);
});

test('subscribers are called in order', () => {
  const bus = new Bus();
  const log = [];
  bus.subscribe('t', note(log, 'first'));
  bus.subscribe('t', note(log, 'low'), { priority: -1 });
  bus.subscribe('t', note(log, 'second'));
  bus.subscribe('t', note(log, 'high'), { priority: 5 });
  bus.publish('t');
  assert.deepEqual(log, ['high', 'first', 'second', 'low']);
});

test('a subscription can be ended', () => {
  const bus = new Bus();
  const end = bus.subscribe('t', () => {});
  assert.equal(end(), true);
  assert.equal(end(), false);
  assert.equal(bus.publish('t'), 0);
});

test('once is once', () => {
  const bus = new Bus();
  const log = [];
  bus.once('t', note(log, 'x'));
  bus.publish('t');
  bus.publish('t');
  assert.deepEqual(log, ['x']);
  assert.equal(bus.count('t'), 0);
});

test('a subscription for some messages', () => {
  const bus = new Bus();
  const log = [];
  bus.subscribe('t', note(log, 'x'), { times: 2 });
  for (let i = 0; i < 5; i += 1) {
    bus.publish('t');
  }
  assert.equal(log.length, 2);
});

test('those after a one-time subscriber get the message too', () => {
  const bus = new Bus();
  const log = [];
  bus.once('t', note(log, 'once'));
  bus.subscribe('t', note(log, 'always'));
  assert.equal(bus.publish('t'), 2);
  assert.deepEqual(log, ['once', 'always']);
});

test('a handler may end its own subscription', () => {
  const bus = new Bus();
  const log = [];
  const end = bus.subscribe('t', () => end());
  bus.subscribe('t', note(log, 'next'));
  bus.publish('t');
  assert.deepEqual(log, ['next']);
});

test('who is subscribed by a handler gets the next message, not this one', () => {
  const bus = new Bus();
  const log = [];
  let end = bus.subscribe('t', () => {
    end();
    end = bus.subscribe('t', note(log, 'late'));
    bus.subscribe('t', note(log, 'later'));
  });
  assert.equal(bus.publish('t'), 1);
  assert.deepEqual(log, []);
  bus.publish('t');
  assert.deepEqual(log, ['late', 'later']);
});

test('who is unsubscribed by a handler gets nothing more', () => {
  const bus = new Bus();
  const log = [];
  let end = () => {};
  bus.subscribe('t', () => end());
  end = bus.subscribe('t', note(log, 'x'));
  bus.publish('t');
  assert.deepEqual(log, []);
});

test('a message that a handler publishes is delivered at once', () => {
  const bus = new Bus();
  const log = [];
  bus.subscribe('a', () => bus.publish('b'));
  bus.subscribe('a', note(log, 'a'));
  bus.subscribe('b', note(log, 'b'));
  bus.publish('a');
  assert.deepEqual(log, ['b', 'a']);
});

test('an error does not keep the message from the others', () => {
  const bus = new Bus();
  const log = [];
  bus.subscribe('t', () => {
    throw new Error('boom');
  });
  bus.subscribe('t', note(log, 'x'));
  assert.throws(() => bus.publish('t'), /boom/);
  assert.deepEqual(log, ['x']);
});

test('errors go to the error handler', () => {
  const seen = [];
  const bus = new Bus({ onError: (error, message) => seen.push(`${error.message} ${message.topic}`) });
  bus.subscribe('t', () => {
    throw new Error('boom');
  });
  assert.equal(bus.publish('t'), 1);
  assert.deepEqual(seen, ['boom t']);
});

test('retained messages are replayed in order', () => {
  const bus = new Bus();
  const log = [];
  bus.publish('s.b', 1, { retain: true });
  bus.publish('s.a', 2, { retain: true });
  bus.publish('s.b', 3, { retain: true });
  bus.publish('s.c', 4);
  bus.subscribe('s.*', (message) => log.push(message.payload), { replay: true });
  assert.deepEqual(log, [2, 3]);
});

test('a replayed message counts', () => {
  const bus = new Bus();
  const log = [];
  bus.publish('s.a', 1, { retain: true });
  bus.publish('s.b', 2, { retain: true });
  bus.once('s.*', (message) => log.push(message.payload), { replay: true });
  assert.deepEqual(log, [1]);
  assert.equal(bus.count('s.a'), 0);
});

test('a retained message can be forgotten', () => {
  const bus = new Bus();
  bus.publish('s', 1, { retain: true });
  assert.equal(bus.forget('s'), true);
  assert.equal(bus.forget('s'), false);
});

test('bad arguments', () => {
  const bus = new Bus();
  assert.throws(() => bus.subscribe('a..b', () => {}), TypeError);
  assert.throws(() => bus.subscribe('a', 'handler'), TypeError);
  assert.throws(() => bus.subscribe('a', () => {}, { times: 0 }), RangeError);
  assert.throws(() => bus.publish('a.*'), TypeError);
});
