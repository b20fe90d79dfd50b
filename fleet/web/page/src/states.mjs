// The words that a node can show, the most urgent first, each with its letter and what it means.

export const STATES = [
  ['wedged', 'W', 'the agent beats, but its work needs help: push a fix, or repair the node'],
  ['missing', 'M', 'it has missed the time that it named for its report by as much again'],
  ['failing', 'F', 'something failed and is retried automatically'],
  ['late', 'L', 'it has missed the time that it named for its report'],
  ['disabled', 'D', 'disabled by a person or a hold: it reports, but does not work'],
  ['working', 'K', 'a work script runs'],
  ['setup', 'S', 'the agent runs and initialises the node'],
  ['presetup', 'P', 'launched or baked, the agent has not reported yet'],
  ['initdone', 'N', 'initialised, ready for its first work'],
  ['idle', 'I', 'everything that was due is done'],
  ['leaving', 'G', 'the machine is shutting down'],
  ['gone', 'G', 'it said that it leaves, or its ref was deleted'],
  ['unknown', '?', 'its record names a state that this page does not know'],
];

// The words of endpoints, of their users and of actions, each like one of the states.
const OTHERS = [
  ['available', 'A', 'idle'], ['not available', 'X', 'wedged'], ['behind', 'B', 'late'], ['user', 'U', 'gone'],
  ['waiting', 'Q', 'setup'], ['running', 'R', 'working'], ['asked', 'A', 'working'], ['succeeded', 'S', 'idle'],
  ['failed', 'F', 'wedged'], ['expired', 'E', 'late'], ['cancelled', 'C', 'disabled'],
];

const byWord = new Map(STATES.map(([word, letter, meaning], rank) => [word, { word, like: word, letter, meaning, rank }]));
for (const [word, letter, like] of OTHERS) byWord.set(word, { ...byWord.get(like), word, like, letter, meaning: '', rank: STATES.length });

// look is how a word is shown: its own row, or that of unknown.
export function look(word) {
  return byWord.get(word) || byWord.get('unknown');
}

// standing is the one word of a node: its age where that says more than its state. Wedged counts also when it is late.
export function standing(n) {
  if (n.state === 'wedged' && n.age !== 'gone') return 'wedged';
  return n.age && n.age !== 'present' ? n.age : n.state || 'unknown';
}

// needs says that a word needs attention.
export function needs(word) {
  return look(word).rank < 5;
}
