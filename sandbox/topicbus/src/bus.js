import { checkPattern, checkTopic, matches } from './topic.js';

/**
 * @typedef {object} Message
 * @property {string} topic
 * @property {unknown} payload
 * @property {number} number  Counts the messages of a bus from 1.
 *
 * @typedef {object} Subscription
 * @property {string} pattern
 * @property {(message: Message) => unknown} handler
 * @property {number} priority
 * @property {number} left  How many more messages it takes; Infinity for no limit.
 */

/** Hands messages to the subscribers of their topic, at once and in order. */
export class Bus {
  /** @type {Subscription[]} */
  #subscriptions = [];
  /** @type {Map<string, Message>} */
  #retained = new Map();
  #published = 0;
  #onError;

  /**
   * @param {object} [options]
   * @param {(error: unknown, message: Message) => void} [options.onError]
   *   Gets what a subscriber throws. Without it, the first error is thrown again after all have been called.
   */
  constructor({ onError } = {}) {
    this.#onError = onError;
  }

  /**
   * Subscribe to the topics that match a pattern.
   * @param {string} pattern
   * @param {(message: Message) => unknown} handler
   * @param {object} [options]
   * @param {number} [options.priority]  A higher one is called earlier.
   * @param {number} [options.times]     End the subscription after so many messages.
   * @param {boolean} [options.replay]   Hand over the retained messages of the topics at once.
   * @returns {() => boolean} A function that ends the subscription and tells whether it still existed.
   */
  subscribe(pattern, handler, { priority = 0, times = Infinity, replay = false } = {}) {
    checkPattern(pattern);
    if (typeof handler !== 'function') {
      throw new TypeError('a handler is a function');
    }
    if (!(times >= 1)) {
      throw new RangeError(`a subscription takes at least one message, not ${times}`);
    }
    const subscription = { pattern, handler, priority, left: times };
    const index = this.#subscriptions.findIndex((other) => other.priority < priority);
    this.#subscriptions.splice(index < 0 ? this.#subscriptions.length : index, 0, subscription);
    if (replay) {
      this.#replay(subscription);
    }
    return () => this.#remove(subscription);
  }

  /** Subscribe for one message only. */
  once(pattern, handler, options = {}) {
    return this.subscribe(pattern, handler, { ...options, times: 1 });
  }

  /**
   * Hand a message to everyone who is subscribed to its topic now.
   * @param {string} topic
   * @param {unknown} [payload]
   * @param {object} [options]
   * @param {boolean} [options.retain]  Keep it as the last message of its topic, for those who subscribe later.
   * @returns {number} How many subscribers got it.
   */
  publish(topic, payload, { retain = false } = {}) {
    checkTopic(topic);
    this.#published += 1;
    const message = Object.freeze({ topic, payload, number: this.#published });
    if (retain) {
      this.#retained.set(topic, message);
    }
    const errors = [];
    let reached = 0;
    for (const subscription of this.#subscriptions) {
      if (subscription.left > 0 && matches(subscription.pattern, topic)) {
        reached += 1;
        this.#deliver(subscription, message, errors);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
    return reached;
  }

  /** Forget the retained message of a topic; tells whether there was one. */
  forget(topic) {
    return this.#retained.delete(topic);
  }

  /** How many subscriptions match a topic. */
  count(topic) {
    return this.#subscriptions.filter((subscription) => matches(subscription.pattern, topic)).length;
  }

  #deliver(subscription, message, errors) {
    subscription.left -= 1;
    if (subscription.left === 0) {
      this.#remove(subscription);
    }
    try {
      subscription.handler(message);
    } catch (error) {
      if (this.#onError) {
        this.#onError(error, message);
      } else {
        errors.push(error);
      }
    }
  }

  #replay(subscription) {
    const errors = [];
    const kept = [...this.#retained.values()].sort((one, other) => one.number - other.number);
    for (const message of kept) {
      if (subscription.left > 0 && matches(subscription.pattern, message.topic)) {
        this.#deliver(subscription, message, errors);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
  }

  #remove(subscription) {
    const index = this.#subscriptions.indexOf(subscription);
    if (index < 0) {
      return false;
    }
    subscription.left = 0;
    this.#subscriptions.splice(index, 1);
    return true;
  }
}
