// The list: which nodes pass a filter, in which order, below which heads.
import { look } from './states.mjs';

// words splits what was typed: each word must be found in a node. state:WORD is the word that it shows, whole.
export function words(text) {
  return (text || '').toLowerCase().split(/\s+/).filter(Boolean);
}

// hay is what a filter looks into.
export function hay(n, word) {
  const versions = (n.repos || []).map(r => [r.name, r.branch, r.version, Object.values(r.worked || {}), r.due || []].flat().join(' '));
  return [n['instance-id'], n.hostname, n.deployment + '/' + n.nodepart, n.stacktype, word, n.state, n.age, n.ip,
    (n.addresses || []).join(' '), versions.join(' '), n.reason].filter(Boolean).join('\n').toLowerCase();
}

// passes tells whether a row has all words.
export function passes(row, list) {
  return list.every(w => w.startsWith('state:') ? row.word === w.slice(6) : row.hay.includes(w));
}

const text = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const time = (a, b) => (a || Infinity) - (b || Infinity) || 0;

// The orders: part is the default, with heads. Each ends with the order of deployment, part and id.
const orders = {
  part: (a, b) => text(a.part, b.part) || a.rank - b.rank,
  trouble: (a, b) => a.rank - b.rank,
  state: (a, b) => look(a.word).rank - look(b.word).rank || text(a.word, b.word),
  id: (a, b) => text(a.id, b.id),
  since: (a, b) => (b.since || 0) - (a.since || 0), // the newest first
  age: (a, b) => time(a.seen, b.seen), // silent for longest first
  versions: (a, b) => text(a.versions, b.versions),
  reason: (a, b) => (a.reason ? 0 : 1) - (b.reason ? 0 : 1) || text(a.reason, b.reason),
};

// ORDERS are the words that a link may have.
export const ORDERS = Object.keys(orders);

// sorted returns rows in an order; a - before it turns it round.
export function sorted(rows, order) {
  const back = order.startsWith('-');
  const by = orders[back ? order.slice(1) : order] || orders.part;
  return rows.slice().sort((a, b) => (back ? -by(a, b) : by(a, b)) || text(a.part, b.part) || text(a.id, b.id));
}

// grouped puts a head before the rows of each part: {head, counts, n}.
export function grouped(rows) {
  const list = [];
  let head = null;
  for (const row of rows) {
    if (!head || head.head !== row.part) {
      head = { head: row.part, n: 0, counts: new Map(), key: 'head ' + row.part };
      list.push(head);
    }
    head.n++;
    add(head.counts, row.word);
    list.push(row);
  }
  return list;
}

const add = (counts, word) => counts.set(word, (counts.get(word) || 0) + 1);

// ranked are counts with the most urgent word first: [word, n].
export function ranked(counts) {
  return [...counts].sort((a, b) => look(a[0]).rank - look(b[0]).rank || text(a[0], b[0]));
}

// counted is how many rows show each word, the most urgent word first.
export function counted(rows) {
  const n = new Map();
  for (const row of rows) add(n, row.word);
  return ranked(n);
}
