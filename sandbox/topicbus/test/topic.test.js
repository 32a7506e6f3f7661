import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkPattern, checkTopic, matches } from '../src/index.js';

test('a topic matches itself', () => {
  assert.ok(matches('order.17.paid', 'order.17.paid'));
  assert.ok(!matches('order.17', 'order.17.paid'));
  assert.ok(!matches('order.17.paid', 'order.17'));
});

test('a star is one word', () => {
  assert.ok(matches('order.*.paid', 'order.17.paid'));
  assert.ok(!matches('order.*', 'order'));
  assert.ok(!matches('order.*', 'order.17.paid'));
});

test('two stars are any number of words', () => {
  for (const topic of ['order', 'order.17', 'order.17.paid']) {
    assert.ok(matches('order.**', topic), topic);
  }
  assert.ok(!matches('order.**', 'orders.17'));
  assert.ok(matches('**', 'anything.at.all'));
});

test('topics are checked', () => {
  for (const bad of ['', 'a..b', '.a', 'a.*', 'a b', undefined]) {
    assert.throws(() => checkTopic(bad), TypeError, String(bad));
  }
  checkTopic('a.b-c.d_1');
});

test('patterns are checked', () => {
  for (const bad of ['', 'a.**.b', 'a*', 'a..b', null]) {
    assert.throws(() => checkPattern(bad), TypeError, String(bad));
  }
  checkPattern('*.a.**');
});
