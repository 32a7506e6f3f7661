/**
 * Topics and the patterns that they are matched with.
 *
 * A topic is one or more words separated by dots. In a pattern, `*` stands for exactly one word, and `**`, which may only
 * come last, for any number of words, none included.
 */

const WORD = /^[A-Za-z0-9_-]+$/;

/**
 * Throw a TypeError unless the text is a topic.
 * @param {string} topic
 */
export function checkTopic(topic) {
  if (typeof topic !== 'string' || !topic.split('.').every((word) => WORD.test(word))) {
    throw new TypeError(`not a topic: ${JSON.stringify(topic)}`);
  }
}

/**
 * Throw a TypeError unless the text is a pattern.
 * @param {string} pattern
 */
export function checkPattern(pattern) {
  if (typeof pattern !== 'string') {
    throw new TypeError(`not a pattern: ${JSON.stringify(pattern)}`);
  }
  const words = pattern.split('.');
  words.forEach((word, index) => {
    const last = index === words.length - 1;
    if (!(WORD.test(word) || word === '*' || (word === '**' && last))) {
      throw new TypeError(`not a pattern: ${JSON.stringify(pattern)}`);
    }
  });
}

/**
 * Tell whether a topic matches a pattern.
 * @param {string} pattern
 * @param {string} topic
 * @returns {boolean}
 */
export function matches(pattern, topic) {
  const wanted = pattern.split('.');
  const words = topic.split('.');
  const open = wanted[wanted.length - 1] === '**';
  if (open) {
    wanted.pop();
  }
  if (open ? words.length < wanted.length : words.length !== wanted.length) {
    return false;
  }
  return wanted.every((word, index) => word === '*' || word === words[index]);
}
