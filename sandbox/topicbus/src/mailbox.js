/** Collects messages until somebody takes them; keeps the newest ones when it is full. */
export class Mailbox {
  #messages = [];
  #limit;
  #end;

  /**
   * @param {import('./bus.js').Bus} bus
   * @param {string} pattern
   * @param {number} [limit]
   */
  constructor(bus, pattern, limit = 100) {
    if (!(limit >= 1)) {
      throw new RangeError(`a mailbox holds at least one message, not ${limit}`);
    }
    this.#limit = limit;
    this.#end = bus.subscribe(pattern, (message) => this.#keep(message));
  }

  get size() {
    return this.#messages.length;
  }

  /** Return what was collected, oldest first, and empty the box. */
  take() {
    const taken = this.#messages;
    this.#messages = [];
    return taken;
  }

  /** Collect nothing more. What is in the box stays there. */
  close() {
    return this.#end();
  }

  #keep(message) {
    this.#messages.push(message);
    if (this.#messages.length > this.#limit) {
      this.#messages.shift();
    }
  }
}
