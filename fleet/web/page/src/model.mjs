// What the page knows: the last whole grid, with the changes since.
import { standing, look } from './states.mjs';
import { when, safe, short } from './words.mjs';
import { hay } from './rows.mjs';

export const model = {
  rows: new Map(), // by id
  top: {}, // the rest of the grid: from, error, notes, versions, services, queue
  skew: 0, // what the server's clock is ahead of this page's own
  whole: false, // a grid was read
};

// now is the server's time, whatever the clock of this machine says: performance.now() only measures what passes.
export function now() {
  return performance.now() + model.skew;
}

// rowOf is a node as the lists have it.
export function rowOf(n) {
  const word = standing(n), repos = n.repos || [];
  return {
    key: n['instance-id'], id: n['instance-id'], node: n, word, rank: n.trouble ?? look(word).rank,
    part: [n.deployment, n.nodepart].filter(Boolean).join('/') || '-',
    since: when(n.since), told: when(n.told || n.beat_seen), seen: when(n.beat_seen || n.told),
    versions: repos.slice(0, 20).map(deployed).join('  ') + (repos.length > 20 ? '  and ' + (repos.length - 20) + ' more' : ''),
    reason: safe([n.reason, ...(n.troubles || []).map(t => 'needs a person: ' + t)].filter(Boolean).join('; ')),
    hay: hay(n, word),
  };
}

// deployed is the version that a repository is worked at, and the one that was pulled where that is another.
export function deployed(r) {
  const due = r.due || [];
  const at = safe(r.name, 60) + '@';
  return due.length ? at + short((r.worked || {})[due[0]]) + ' \u2192 ' + short(r.version) : at + short(r.version);
}

// take takes a grid, or a change of it, and returns the nodes whose word is another one: [row, word before].
export function take(data, whole) {
  const t = when(data.time), stepped = [];
  if (Number.isFinite(t)) model.skew = t - performance.now();
  if (whole) model.top = {};
  const { nodes, gone, ...rest } = data;
  Object.assign(model.top, rest);
  const before = model.rows;
  if (whole) model.rows = new Map();
  for (const n of nodes || []) {
    const old = before.get(n['instance-id']), row = rowOf(n);
    if (model.whole && (!old || old.word !== row.word)) stepped.push([row, old ? old.word : '']);
    model.rows.set(row.id, row);
  }
  for (const one of gone || []) {
    const old = model.rows.get(one);
    if (old) stepped.push([{ ...old, word: 'gone', reason: '' }, old.word]);
    model.rows.delete(one);
  }
  model.whole = true;
  return stepped;
}
