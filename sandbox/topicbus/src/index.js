export { Bus } from './bus.js';
export { Mailbox } from './mailbox.js';
export { matches, checkPattern, checkTopic } from './topic.js';
