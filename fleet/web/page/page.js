// Made of src by go generate. Do not edit.
(() => {
'use strict';
// dom.mjs
function h(tag, props, ...kids) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) el.setAttribute(name, value === true ? '' : value);
  }
  el.append(...kids.flat().filter(k => k != null && k !== false));
  return el;
}
const $ = name => document.getElementById(name);
function put(el, text) {
  if (el.textContent !== text) el.textContent = text;
}
function attr(el, name, value) {
  if (!value) el.removeAttribute(name);
  else if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}
function keyed(parent, items, key, make, update) {
  const have = parent.have || (parent.have = new Map());
  const next = new Map();
  for (const item of items) next.set(key(item), item);
  for (const [k, el] of have) {
    if (!next.has(k)) {
      el.remove();
      have.delete(k);
    }
  }
  let at = parent.firstChild;
  for (const [k, item] of next) {
    let el = have.get(k);
    if (!el) have.set(k, el = make(item));
    if (el === at) at = at.nextSibling;
    else parent.insertBefore(el, at);
    update(el, item);
  }
}
function badge() {
  return h('span', { class: 'badge' }, h('b', { 'aria-hidden': 'true' }), h('span', {}));
}
function stamp(el, t, text, utc) {
  put(el, text);
  attr(el, 'title', utc);
  attr(el, 'datetime', Number.isFinite(t) ? new Date(t).toISOString() : '');
}
async function copies(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'sr', 'aria-hidden': 'true', tabindex: '-1' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
// states.mjs
const STATES = [
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
const OTHERS = [
  ['available', 'A', 'idle'], ['not available', 'X', 'wedged'], ['behind', 'B', 'late'], ['user', 'U', 'gone'],
  ['waiting', 'Q', 'setup'], ['running', 'R', 'working'], ['asked', 'A', 'working'], ['succeeded', 'S', 'idle'],
  ['failed', 'F', 'wedged'], ['expired', 'E', 'late'], ['cancelled', 'C', 'disabled'],
];
const byWord = new Map(STATES.map(([word, letter, meaning], rank) => [word, { word, like: word, letter, meaning, rank }]));
for (const [word, letter, like] of OTHERS) byWord.set(word, { ...byWord.get(like), word, like, letter, meaning: '', rank: STATES.length });
function look(word) {
  return byWord.get(word) || byWord.get('unknown');
}
function standing(n) {
  if (n.state === 'wedged' && n.age !== 'gone') return 'wedged';
  return n.age && n.age !== 'present' ? n.age : n.state || 'unknown';
}
function needs(word) {
  return look(word).rank < 5;
}
// words.mjs
const S = 1000, M = 60 * S, H = 60 * M, D = 24 * H;
function duration(ms) {
  if (!(ms >= S)) return '0 s';
  if (ms < 2 * M) return Math.floor(ms / S) + ' s';
  if (ms < H) return Math.floor(ms / M) + ' min';
  if (ms < 2 * D) {
    const rest = Math.floor(ms / M) % 60;
    return Math.floor(ms / H) + ' h' + (rest ? ' ' + rest + ' min' : '');
  }
  return Math.floor(ms / D) + ' days';
}
function column(ms) {
  if (!(ms >= 0)) return '0s';
  if (ms < 2 * M) return Math.floor(ms / S) + 's';
  if (ms < 2 * H) return Math.floor(ms / M) + 'm';
  return ms < 2 * D ? Math.floor(ms / H) + 'h' : Math.floor(ms / D) + 'd';
}
function when(text) {
  const t = Date.parse(text || '');
  return t > 0 ? t : NaN;
}
function utc(t) {
  return Number.isFinite(t) ? new Date(t).toISOString().slice(0, 19).replace('T', ' ') + ' UTC' : '';
}
function local(t, now) {
  if (!Number.isFinite(t)) return '-';
  const at = new Date(t), day = new Date(now);
  const two = n => String(n).padStart(2, '0');
  const clock = two(at.getHours()) + ':' + two(at.getMinutes()) + ':' + two(at.getSeconds());
  if (at.toDateString() === day.toDateString()) return clock;
  return at.getFullYear() + '-' + two(at.getMonth() + 1) + '-' + two(at.getDate()) + ' ' + clock;
}
function count(n, noun) {
  return number(n) + ' ' + noun + (n === 1 ? '' : 's');
}
function number(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}
function short(text) {
  return !text ? 'nothing' : /^[0-9a-f]{40,64}$/.test(text) ? text.slice(0, 7) : safe(text, 40);
}
function safe(text, most = 500) {
  let s = String(text ?? '');
  if (/[^\x20-\x7e]/.test(s)) {
    s = s.replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u206f\u061c\ufeff\ufff0-\ufffc]|[\ud800-\udbff](?![\udc00-\udfff])/g, '\ufffd')
      .replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ');
  }
  return s.length > most ? s.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '') + '\u2026' : s;
}
// rows.mjs
function words(text) {
  return (text || '').toLowerCase().split(/\s+/).filter(Boolean);
}
function hay(n, word) {
  const versions = (n.repos || []).map(r => [r.name, r.branch, r.version, Object.values(r.worked || {}), r.due || []].flat().join(' '));
  return [n['instance-id'], n.hostname, n.deployment + '/' + n.nodepart, n.stacktype, word, n.state, n.age, n.ip,
    (n.addresses || []).join(' '), versions.join(' '), n.reason].filter(Boolean).join('\n').toLowerCase();
}
function passes(row, list) {
  return list.every(w => w.startsWith('state:') ? row.word === w.slice(6) : row.hay.includes(w));
}
const text = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const time = (a, b) => (a || Infinity) - (b || Infinity) || 0;
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
const ORDERS = Object.keys(orders);
function sorted(rows, order) {
  const back = order.startsWith('-');
  const by = orders[back ? order.slice(1) : order] || orders.part;
  return rows.slice().sort((a, b) => (back ? -by(a, b) : by(a, b)) || text(a.part, b.part) || text(a.id, b.id));
}
function grouped(rows) {
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
function ranked(counts) {
  return [...counts].sort((a, b) => look(a[0]).rank - look(b[0]).rank || text(a[0], b[0]));
}
function counted(rows) {
  const n = new Map();
  for (const row of rows) add(n, row.word);
  return ranked(n);
}
// model.mjs
const model = {
  rows: new Map(), // by id
  top: {}, // the rest of the grid: from, error, notes, versions, services, queue
  skew: 0, // what the server's clock is ahead of this page's own
  whole: false, // a grid was read
};
function now() {
  return performance.now() + model.skew;
}
function rowOf(n) {
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
function deployed(r) {
  const due = r.due || [];
  const at = safe(r.name, 60) + '@';
  return due.length ? at + short((r.worked || {})[due[0]]) + ' \u2192 ' + short(r.version) : at + short(r.version);
}
function take(data, whole) {
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
// stream.mjs
class Stream {
  constructor(url, told, state) {
    Object.assign(this, { url, told, state, last: '', source: null, timer: 0, tries: 0 });
    document.addEventListener('visibilitychange', () => this.look());
    addEventListener('pagehide', () => this.close());
    addEventListener('pageshow', () => this.look());
    addEventListener('online', () => this.again());
    this.look();
  }
  look() {
    if (document.hidden) {
      this.close();
      this.state('hidden');
    } else if (!this.source) this.open();
  }
  again() {
    this.close();
    this.look();
  }
  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
  open() {
    clearTimeout(this.timer);
    const source = this.source = new EventSource(this.url + (this.last ? '?last=' + encodeURIComponent(this.last) : ''));
    for (const kind of ['grid', 'change']) {
      source.addEventListener(kind, e => {
        if (source !== this.source) return;
        this.last = e.lastEventId || this.last;
        this.tries = 0;
        this.told(kind, JSON.parse(e.data));
        this.state('live');
      });
    }
    source.onopen = () => this.state('live');
    source.onerror = () => {
      if (source !== this.source) return;
      this.state('lost');
      if (source.readyState !== EventSource.CLOSED) return;
      this.close();
      this.timer = setTimeout(() => this.look(), Math.min(30e3, 1000 * 2 ** this.tries++) * (0.75 + Math.random() / 2));
    };
  }
}
// bars.mjs
function timelines({ ids = [], words = [], texts = [], list = [] }) {
  const all = ids.map(() => []);
  for (const [t, id, from, to, reason] of list) all[id]?.push([t * 1000, words[to], texts[reason] || '', words[from]]);
  for (const one of all) {
    if (one.some((s, i) => i && s[0] < one[i - 1][0])) one.sort((a, b) => a[0] - b[0]);
  }
  return new Map(ids.map((id, i) => [id, all[i]]));
}
const AGES = new Set(['late', 'missing', 'present', 'gone']);
function bars(steps, births, from, to, now) {
  const list = [];
  let state = '', why = '', age = '', since = NaN;
  const end = Math.min(to, now);
  const put = (until) => {
    const word = age || state;
    if (!word || !(until > from) || !(since < end)) return;
    const a = Math.max(since, from), b = Math.min(until, end), last = list[list.length - 1];
    if (!(b > a)) return;
    if (last && last.word === word && last.reason === why && last.to === a) last.to = b;
    else list.push({ from: a, to: b, word, reason: why });
  };
  for (const [t, word, reason, was] of merged(steps || [], births || [])) {
    if (!state && !age && was) { // what it was before the first step that is known
      since = from;
      if (AGES.has(was)) age = was === 'present' ? '' : was;
      else state = was;
    }
    put(t);
    since = t;
    if (!AGES.has(word)) {
      state = word;
      if (age) age = '';
    } else age = word === 'present' ? '' : word;
    why = reason || '';
  }
  put(end);
  return list;
}
function merged(steps, births) {
  const missing = births.filter(([t, word]) => !steps.some(s => s[1] === word && Math.abs(s[0] - t) < 120e3));
  return missing.length ? [...steps, ...missing].sort((a, b) => a[0] - b[0]) : steps;
}
function births(log) {
  const list = [];
  for (const m of (log || '').matchAll(/([a-z]{1,20}):(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d);/g)) {
    list.push([Date.UTC(+m[2], m[3] - 1, +m[4], +m[5], +m[6], +m[7]), m[1], '', '']);
  }
  return list;
}
const WINDOWS = { hour: [3600e3, 600e3], day: [86400e3, 4 * 3600e3], week: [7 * 86400e3, 86400e3] };
function lines(from, to, step) {
  const zone = new Date(to).getTimezoneOffset() * 60e3, list = [];
  for (let t = Math.ceil((from - zone) / step) * step + zone; t < to; t += step) list.push(t);
  return list;
}
// link.mjs
const VIEWS = ['nodes', 'timeline', 'versions', 'services', 'queue'];
function parsed(hash) {
  const p = new URLSearchParams(hash.replace(/^#/, ''));
  const one = (name, list, other) => list.includes(p.get(name)) ? p.get(name) : other;
  return {
    view: one('view', VIEWS, 'nodes'),
    q: (p.get('q') || '').slice(0, 500),
    sort: one('sort', [...ORDERS, ...ORDERS.map(o => '-' + o)], 'part'),
    window: one('window', Object.keys(WINDOWS), 'hour'),
    node: (p.get('node') || '').slice(0, 300),
  };
}
function formatted(s) {
  const p = new URLSearchParams();
  const none = parsed('');
  for (const key of Object.keys(none)) if (s[key] && s[key] !== none[key]) p.set(key, s[key]);
  return '#' + p;
}
// table.mjs
const SPARE = 8;
class Table {
  constructor(name, label, columns, options = {}) {
    Object.assign(this, { columns, options, rows: [], now: 0, current: '' });
    this.head = h('tr', { role: 'row', 'aria-rowindex': '1' }, columns.map(c => h('th', { role: 'columnheader', scope: 'col', class: 'c-' + c.name },
      c.sort ? h('button', { type: 'button', onclick: () => options.sort(c.sort) }, c.title, h('i', { 'aria-hidden': 'true' })) : c.title)));
    this.body = h('tbody', { role: 'rowgroup' });
    this.el = h('table', { role: 'table', class: 'grid ' + name, 'aria-label': label },
      h('thead', { role: 'rowgroup' }, this.head), this.body);
    this.body.addEventListener('keydown', e => this.key(e));
    this.body.addEventListener('focusin', e => {
      const tr = e.target.closest('tr');
      if (tr) this.current = tr.key;
    });
  }
  set(rows, now) {
    this.rows = rows;
    this.index = null;
    this.now = now;
    this.el.setAttribute('aria-rowcount', rows.length + 1);
    this.draw();
  }
  order(sort) {
    const back = sort.startsWith('-'), by = back ? sort.slice(1) : sort;
    this.columns.forEach((c, i) => {
      if (!c.sort) return;
      const on = c.sort === by;
      this.head.children[i].setAttribute('aria-sort', on ? (back ? 'descending' : 'ascending') : 'none');
    });
  }
  find(key) {
    if (!this.index) this.index = new Map(this.rows.map((r, i) => [r.key, i]));
    return this.index.get(key) ?? -1;
  }
  draw() {
    if (!this.el.isConnected) return;
    const height = this.height = parseFloat(getComputedStyle(this.el).getPropertyValue('--row')) || 36;
    this.body.style.height = this.rows.length * height + 'px';
    const box = this.body.getBoundingClientRect();
    const first = Math.max(0, Math.floor(-box.top / height) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - box.top) / height) + SPARE);
    const shown = [];
    for (let i = first; i < last; i++) shown.push(i);
    if (this.body.contains(document.activeElement)) {
      const i = this.find(this.current);
      if (i >= 0 && i < first) shown.unshift(i);
      else if (i >= last) shown.push(i);
    }
    if (this.find(this.current) < 0) this.current = '';
    const stop = this.current && shown.includes(this.find(this.current)) ? this.current : this.rows[shown.find(i => !this.rows[i].head)]?.key;
    keyed(this.body, shown, i => this.rows[i].key, i => this.make(this.rows[i]), (el, i) => {
      if (el.at !== i || el.height !== height) {
        el.style.transform = 'translateY(' + i * height + 'px)';
        el.setAttribute('aria-rowindex', i + 2);
        el.at = i;
        el.height = height;
      }
      const link = el.querySelector('a,button');
      if (link) link.tabIndex = el.key === stop ? 0 : -1;
      this.show(el, this.rows[i]);
    });
  }
  make(row) {
    const cells = row.head == null
      ? this.columns.map(c => h('td', { role: 'cell', class: 'c-' + c.name }, c.make ? c.make() : null))
      : [h('td', { role: 'cell', class: 'c-head', 'aria-colspan': this.columns.length })];
    const el = h('tr', { role: 'row', class: row.head == null ? '' : 'head' }, cells);
    el.key = row.key;
    return el;
  }
  show(el, row) {
    if (row.head != null) return this.options.head(el.firstChild, row);
    const cells = el.children;
    for (let i = 0; i < this.columns.length; i++) this.columns[i].show(cells[i], row, this.now);
  }
  key(e) {
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 4);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[e.key];
    if (!by || e.ctrlKey || e.altKey || e.metaKey) return;
    let to = Math.min(Math.max(this.find(this.current) + by, 0), this.rows.length - 1);
    while (this.rows[to]?.head != null && this.rows[to + (by > 0 ? 1 : -1)]) to += by > 0 ? 1 : -1;
    if (!this.rows[to] || this.rows[to].head != null) return;
    e.preventDefault();
    this.focus(this.rows[to].key);
  }
  focus(key) {
    const i = this.find(key);
    if (i < 0) return;
    this.current = key;
    const top = this.body.getBoundingClientRect().top + i * this.height;
    if (top < 120 || top > innerHeight - 2 * this.height) scrollBy({ top: top - innerHeight / 2, behavior: 'instant' });
    this.draw();
    this.body.have.get(key)?.querySelector('a,button')?.focus({ preventScroll: true });
  }
}
// cells.mjs
function showBadge(el, word, more = '') {
  if (el.word === word && el.more === more) return;
  el.word = word;
  el.more = more;
  const row = look(word);
  el.className = 'badge s-' + row.like;
  put(el.firstChild, row.letter);
  put(el.lastChild, safe(word, 30) + (more ? ' ' + more : ''));
  attr(el, 'title', row.meaning);
}
const stateCell = { make: badge, show: (td, row) => showBadge(td.firstChild, row.word, row.was || '') };
function nodeLink(to) {
  return {
    make: () => h('a', { class: 'id' }, h('bdi', {})),
    show(td, row) {
      const a = td.firstChild;
      if (a.node === row.id && a.from === to.base) return;
      a.node = row.id;
      a.from = to.base;
      a.href = to.node(row.id);
      put(a.firstChild, safe(row.id, 200));
      attr(a, 'title', row.node?.hostname ? safe(row.node.hostname, 200) : '');
    },
  };
}
function textCell(of) {
  return {
    make: () => h('bdi', {}),
    show(td, row) {
      const text = of(row) || '';
      if (td.text === text) return;
      td.text = text;
      put(td.firstChild, text);
      attr(td, 'title', text.length > 12 ? text : '');
    },
  };
}
function sinceCell(of, least) {
  return {
    make: () => h('time', {}),
    show(td, row, now) {
      const t = of(row), other = least ? least(row) : NaN;
      if (Number.isFinite(t)) return stamp(td.firstChild, t, column(now - t), 'since ' + local(t, now) + ' (' + utc(t) + ')');
      if (Number.isFinite(other)) return stamp(td.firstChild, other, '>' + column(now - other), 'at least since ' + local(other, now) + ' (' + utc(other) + ')');
      stamp(td.firstChild, NaN, '-', '');
    },
  };
}
function timeCell(of) {
  return {
    make: () => h('time', {}),
    show(td, row, now) {
      const t = of(row);
      stamp(td.firstChild, t, local(t, now), utc(t));
    },
  };
}
function ageText(row, now) {
  const age = row.node.age || '-';
  if (age === 'present' || !Number.isFinite(row.seen)) return age;
  return row.seen > now + 120e3 ? age + ', ahead ' + column(row.seen - now) : age + ' ' + column(now - row.seen);
}
function spelled(t, now) {
  if (!Number.isFinite(t)) return '-';
  return local(t, now) + (t > now ? ' (in ' + duration(t - now) + ')' : ' (' + duration(now - t) + ' ago)');
}
// nodes.mjs
function nodesTable(to, sort) {
  return new Table('nodes', 'nodes', [
    { name: 'state', title: 'State', sort: 'state', ...stateCell },
    { name: 'id', title: 'Node', sort: 'id', ...nodeLink(to) },
    { name: 'part', title: 'Part', sort: 'part', ...textCell(row => safe(row.part, 200)) },
    { name: 'since', title: 'Since', sort: 'since', ...sinceCell(row => row.since, row => row.told) },
    {
      name: 'age', title: 'Age', sort: 'age', make: () => h('time', {}),
      show: (td, row, now) => stamp(td.firstChild, row.seen, ageText(row, now),
        Number.isFinite(row.seen) ? 'last report ' + local(row.seen, now) + ' (' + utc(row.seen) + ')' : ''),
    },
    { name: 'versions', title: 'Versions', sort: 'versions', ...textCell(row => row.versions) },
    { name: 'reason', title: 'Reason', sort: 'reason', ...textCell(row => row.reason) },
  ], {
    sort,
    head(td, row) {
      if (!td.firstChild) td.append(h('strong', {}, h('bdi', {})), h('span', {}));
      put(td.firstChild.firstChild, safe(row.head, 200));
      put(td.lastChild, count(row.n, 'node') + ': ' + ranked(row.counts).map(([word, n]) => number(n) + ' ' + safe(word, 30)).join(', '));
    },
  });
}
function showTop(rows, all, to, now, read, most) {
  const wanted = rows.filter(r => needs(r.word));
  put($('calm'), !read ? 'Reading the nodes.' : !all ? 'No node has reported yet.' : count(all, 'node') + (all === 1 ? ' is' : ' are') + ' well. Nothing needs you.');
  $('calm').hidden = wanted.length > 0;
  $('needs').hidden = !wanted.length;
  put($('needs-count'), wanted.length ? number(wanted.length) : '');
  keyed($('needs-body'), wanted.slice(0, most), r => r.key, makeNeed, (tr, row) => {
    const [state, who, why, since, next] = tr.children;
    showBadge(state.firstChild, row.word);
    const a = who.firstChild;
    if (a.node !== row.id || a.from !== to.base) {
      a.node = row.id;
      a.from = to.base;
      a.href = to.node(row.id);
    }
    put(a.firstChild, safe(row.id, 200));
    put(who.lastChild, safe(row.part, 200));
    const text = row.reason || look(row.word).meaning;
    put(why.firstChild, text);
    attr(why, 'title', text);
    const t = Number.isFinite(row.since) ? row.since : row.told;
    stamp(since.firstChild, t, Number.isFinite(t) ? (t === row.since ? '' : '>') + column(now - t) : '-', Number.isFinite(t) ? 'since ' + local(t, now) + ' (' + utc(t) + ')' : '');
    const command = row.node.next || '';
    next.hidden = !command;
    put(next.firstChild, command);
    attr(next.firstChild, 'title', command);
    attr(next.lastChild, 'aria-label', 'Copy: ' + safe(command, 200));
  });
  const more = $('needs-more');
  more.hidden = wanted.length <= most;
  put(more, 'and ' + number(wanted.length - most) + ' more: the list by trouble');
  more.href = to.with({ view: 'nodes', sort: 'trouble', q: '', node: '' });
  announce(wanted);
}
function makeNeed() {
  const copy = h('button', {
    type: 'button', class: 'copy', async onclick(e) {
      const button = e.currentTarget, done = await copies(button.previousSibling.textContent);
      put(button, done ? 'Copied' : 'Select it');
      put($('said'), done ? 'Copied' : 'It could not be copied: select the text');
      setTimeout(() => put(button, 'Copy'), 2000);
    },
  }, 'Copy');
  return h('tr', { role: 'row' },
    h('td', { role: 'cell', class: 'c-state' }, badge()),
    h('td', { role: 'cell', class: 'c-id' }, h('a', { class: 'id' }, h('bdi', {})), h('bdi', { class: 'dim' })),
    h('td', { role: 'cell', class: 'c-reason' }, h('bdi', {})),
    h('td', { role: 'cell', class: 'c-since' }, h('time', {})),
    h('td', { role: 'cell', class: 'c-next' }, h('code', {}), copy));
}
const heard = { top: '' };
function announce(wanted) {
  const first = wanted[0];
  const text = first ? count(wanted.length, 'node') + (wanted.length === 1 ? ' needs' : ' need') + ' attention. On top: ' +
    safe(first.id, 100) + ' is ' + safe(first.word, 30) + (first.reason ? ', ' + safe(first.reason, 200) : '') : '';
  if (text === heard.top) return;
  put($('said'), text || (heard.top ? 'All nodes are well again.' : ''));
  heard.top = text;
}
// paint.mjs
const colours = { of: null, stamps: new Map() };
function colour(word) {
  if (!colours.of) {
    const style = getComputedStyle(document.documentElement), get = name => style.getPropertyValue(name).trim();
    colours.of = { text: get('--text'), dim: get('--dim'), line: get('--line'), back: get('--card'), mark: get('--mark') };
    for (const [word] of STATES) colours.of[word] = { fill: get('--' + word), ink: get('--' + word + '-ink') };
  }
  return colours.of[word] || colours.of[look(word).word];
}
function forget() {
  colours.of = null;
  colours.stamps.clear();
}
function stamped(word, size, font) {
  const scale = devicePixelRatio || 1, key = word + ' ' + size + ' ' + scale;
  let canvas = colours.stamps.get(key);
  if (canvas) return canvas;
  canvas = document.createElement('canvas');
  const g = sized(canvas, size, size), { fill, ink } = colour(word);
  g.fillStyle = fill;
  g.beginPath();
  g.roundRect(0, 0, size, size, 4);
  g.fill();
  g.fillStyle = ink;
  g.font = '600 ' + Math.round(size * 0.55) + 'px ' + font;
  g.textAlign = 'center';
  g.textBaseline = 'middle';
  g.fillText(look(word).letter, size / 2, size / 2 + 1);
  colours.stamps.set(key, canvas);
  return canvas;
}
function sized(canvas, width, height) {
  const scale = devicePixelRatio || 1, w = Math.round(width * scale), h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = width + 'px';
    canvas.style.height = height + 'px';
  }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  return g;
}
function tip(text, x = 0, y = 0, spoken = false) {
  const el = $('tip');
  el.hidden = !text;
  if (!text) return;
  put(el, text);
  const box = el.getBoundingClientRect();
  el.style.left = Math.max(4, Math.min(x + 12, document.documentElement.clientWidth - box.width - 4)) + 'px';
  el.style.top = (y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18) + 'px';
  if (spoken) put($('said'), text);
}
// tilemap.mjs
function tilemap(rows, width, size) {
  const gap = size > 16 ? 3 : 2, step = size + gap, head = 24;
  const columns = Math.max(1, Math.floor((width + gap) / step));
  const heads = [];
  let y = 0;
  for (let i = 0; i < rows.length;) {
    let n = 1;
    while (i + n < rows.length && rows[i + n].part === rows[i].part) n++;
    heads.push({ y, part: rows[i].part, first: i, n });
    y += head + Math.ceil(n / columns) * step + 6;
    i += n;
  }
  const group = i => {
    let low = 0, high = heads.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (heads[middle].first <= i) low = middle;
      else high = middle - 1;
    }
    return heads[low];
  };
  return {
    size, columns, heads, height: y,
    at(i) {
      const g = group(i), k = i - g.first;
      return { x: (k % columns) * step, y: g.y + head + Math.floor(k / columns) * step };
    },
    find(x, y) {
      const column = Math.floor(x / step);
      if (column < 0 || column >= columns || x - column * step > size) return -1;
      for (const g of heads) {
        const line = Math.floor((y - g.y - head) / step), k = line * columns + column;
        if (line >= 0 && k < g.n && y - g.y - head - line * step <= size) return g.first + k;
      }
      return -1;
    },
  };
}
function tileSize(n) {
  return n > 3000 ? 14 : n > 800 ? 20 : 24;
}
// tiles.mjs
class Tiles {
  constructor(open, now) {
    Object.assign(this, { rows: [], words: [], drawn: '', map: null, at: -1, open, now });
    this.box = $('tiles');
    this.canvas = $('tiles-canvas');
    const place = e => {
      const box = this.box.getBoundingClientRect();
      return this.map ? this.map.find(e.clientX - box.left, e.clientY - box.top) : -1;
    };
    this.canvas.addEventListener('pointermove', e => {
      const i = place(e);
      this.canvas.style.cursor = i < 0 ? '' : 'pointer';
      tip(i < 0 ? '' : this.says(i), e.clientX, e.clientY);
    });
    this.canvas.addEventListener('pointerleave', () => tip(''));
    this.canvas.addEventListener('click', e => {
      const i = place(e);
      if (i >= 0) this.open(this.rows[i].id);
    });
    this.canvas.addEventListener('keydown', e => this.key(e));
    this.canvas.addEventListener('focus', () => this.canvas.matches(':focus-visible') && this.go(Math.max(this.at, 0)));
    this.canvas.addEventListener('blur', () => {
      this.at = -1;
      tip('');
      this.draw();
    });
  }
  set(rows) {
    this.rows = rows;
    this.box.hidden = !rows.length;
    this.map = null;
    if (this.at >= rows.length) this.at = -1;
    this.canvas.setAttribute('aria-label', number(rows.length) + ' nodes as tiles. Arrows go from one to the next, Enter opens it. The list below has the same.');
    this.draw();
  }
  says(i) {
    const r = this.rows[i], t = Number.isFinite(r.since) ? r.since : r.told;
    return safe(r.id, 60) + ' ' + safe(r.part, 60) + ': ' + safe(r.word, 30) + (Number.isFinite(t) ? ' for ' + column(this.now() - t) : '') + (r.reason ? ': ' + safe(r.reason, 160) : '');
  }
  draw() {
    if (this.box.hidden || !this.box.offsetParent) return;
    const width = this.box.clientWidth;
    if (!this.map || this.width !== width) {
      this.map = tilemap(this.rows, width, tileSize(this.rows.length));
      this.width = width;
      this.box.style.height = this.map.height + 'px';
    }
    const top = this.box.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor((-top - 200) / 600) * 600), height = Math.min(this.map.height - from, innerHeight + 1000);
    if (!(height > 0)) return;
    const size = this.map.size, font = getComputedStyle(document.body).fontFamily;
    const is = [width, height, from, size, this.at, devicePixelRatio, colour('text'), ...this.map.heads.map(h => h.part + ' ' + h.n)].join();
    if (is === this.drawn) return this.patch(from, height, size, font);
    this.drawn = is;
    this.words = this.rows.map(r => r.word);
    this.canvas.style.transform = 'translateY(' + from + 'px)';
    const g = sized(this.canvas, width, height);
    g.textBaseline = 'middle';
    for (const head of this.map.heads) {
      const next = this.map.heads[this.map.heads.indexOf(head) + 1]?.y ?? this.map.height;
      if (next < from || head.y > from + height) continue;
      g.font = '600 12px ' + font;
      g.textAlign = 'left';
      g.fillStyle = colour('text');
      const name = safe(head.part, 60);
      g.fillText(name, 0, head.y - from + 12);
      const w = g.measureText(name).width;
      g.font = '12px ' + font;
      g.fillStyle = colour('dim');
      g.fillText(number(head.n), w + 8, head.y - from + 12);
      for (let i = head.first; i < head.first + head.n; i++) {
        const { x, y } = this.map.at(i);
        if (y + size < from) continue;
        if (y > from + height) break;
        g.drawImage(stamped(look(this.rows[i].word).word, size, font), x, y - from, size, size);
        if (i === this.at) {
          g.strokeStyle = colour('mark');
          g.lineWidth = 3;
          g.strokeRect(x - 0.5, y - from - 0.5, size + 1, size + 1);
        }
      }
    }
  }
  patch(from, height, size, font) {
    const g = this.canvas.getContext('2d');
    for (let i = 0; i < this.rows.length; i++) {
      const word = this.rows[i].word;
      if (word === this.words[i]) continue;
      this.words[i] = word;
      const { x, y } = this.map.at(i);
      if (y + size < from || y > from + height) continue;
      g.clearRect(x, y - from, size, size);
      g.drawImage(stamped(look(word).word, size, font), x, y - from, size, size);
    }
  }
  go(i) {
    this.at = Math.min(Math.max(i, 0), this.rows.length - 1);
    const { x, y } = this.map.at(this.at), box = this.box.getBoundingClientRect();
    if (box.top + y < 120 || box.top + y > innerHeight - 80) scrollBy({ top: box.top + y - innerHeight / 2, behavior: 'instant' });
    this.draw();
    const now = this.box.getBoundingClientRect();
    tip(this.says(this.at), now.left + x, now.top + y + this.map.size, true);
  }
  key(e) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.map?.columns, ArrowUp: -this.map?.columns, Home: -Infinity, End: Infinity }[e.key];
    if (e.key === 'Enter' && this.at >= 0) this.open(this.rows[this.at].id);
    else if (by) this.go(Math.max(this.at, 0) + by);
    else return;
    e.preventDefault();
  }
}
// timeline.mjs
const ROW = 24, HEAD = 26;
class Timeline {
  constructor(to, open, now) {
    Object.assign(this, { rows: [], steps: new Map(), window: 'hour', open, now, at: null, cache: new Map() });
    this.box = $('chart');
    this.canvas = $('chart-canvas');
    this.table = new Table('bars', 'what each node went through, in the order of the chart', [
      { name: 'state', title: 'State', ...stateCell },
      { name: 'id', title: 'Node', ...nodeLink(to) },
      { name: 'from', title: 'From', ...timeCell(b => b.bar.from) },
      { name: 'to', title: 'To', ...timeCell(b => b.bar.to) },
      { name: 'for', title: 'For', make: () => h('span', {}), show: (td, b) => { td.firstChild.textContent = duration(b.bar.to - b.bar.from); } },
      { name: 'reason', title: 'Reason', ...textCell(b => b.bar.reason) },
    ]);
    $('bars').append(this.table.el);
    this.box.addEventListener('scroll', () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.canvas.addEventListener('pointermove', e => {
      const hit = this.hit(e);
      this.canvas.style.cursor = hit ? 'pointer' : '';
      tip(hit ? this.words(hit.row, hit.bar) : '', e.clientX, e.clientY);
    });
    this.canvas.addEventListener('pointerleave', () => tip(''));
    this.canvas.addEventListener('click', e => {
      const hit = this.hit(e);
      if (hit) this.open(hit.row.id);
    });
    this.canvas.addEventListener('keydown', e => this.key(e));
    this.canvas.addEventListener('focus', () => this.canvas.matches(':focus-visible') && this.go(0, 1e9));
    this.canvas.addEventListener('blur', () => {
      this.at = null;
      tip('');
      this.draw();
    });
  }
  set(rows, steps, window) {
    Object.assign(this, { rows, steps, window });
    this.cache.clear();
    const [span] = WINDOWS[window];
    this.to = this.now();
    this.from = this.to - span;
    this.canvas.setAttribute('aria-label', 'timeline of ' + number(rows.length) + ' nodes over the last ' + window +
      '. Arrows go from bar to bar and from node to node, Enter opens the node. The table below has the same.');
    $('chart-size').style.height = HEAD + rows.length * ROW + 6 + 'px';
    this.draw();
    clearTimeout(this.timer);
    this.fill([], 0);
  }
  fill(all, i) {
    const until = performance.now() + 12;
    for (; i < this.rows.length && performance.now() < until; i++) {
      const row = this.rows[i];
      for (const b of this.of(row).toReversed()) all.push({ bar: b, word: b.word, key: row.id + ' ' + b.from, id: row.id, node: row.node });
    }
    if (i < this.rows.length) this.timer = setTimeout(() => this.fill(all, i), 4);
    else this.table.set(all, this.to);
  }
  of(row) {
    let list = this.cache.get(row.id);
    if (!list) this.cache.set(row.id, list = bars(this.shown(row), births(row.node.statelog), this.from, this.to, this.to));
    return list;
  }
  shown(row) {
    const steps = this.steps.get(row.id) || [], last = steps.at(-1);
    if (last && last[1] === row.word) return steps;
    const t = Math.max(Number.isFinite(row.since) ? row.since : row.told || 0, last ? last[0] + 1 : 0);
    return t ? [...steps, [t, row.word, row.reason, '']] : steps;
  }
  words(row, bar) {
    const one = safe(row.id, 60) + ' ' + safe(row.part, 60);
    if (!bar) return one + ': nothing is known of this time';
    return one + ': ' + safe(bar.word, 30) + ' from ' + local(bar.from, this.to) + ' to ' + (bar.to >= this.to ? 'now' : local(bar.to, this.to)) +
      ' (' + duration(bar.to - bar.from) + ')' + (bar.reason ? ': ' + safe(bar.reason, 200) : '') + '\n' + utc(bar.from);
  }
  get label() {
    return this.width < 600 ? 84 : 170;
  }
  x(t) {
    return this.label + (t - this.from) / (this.to - this.from) * (this.width - this.label - 8);
  }
  draw() {
    if (!this.box.offsetParent) return;
    const width = this.width = this.box.clientWidth, height = Math.max(this.box.clientHeight, HEAD + ROW), scroll = this.box.scrollTop;
    const g = sized(this.canvas, width, height), font = getComputedStyle(document.body).fontFamily;
    g.font = '12px ' + font;
    g.textBaseline = 'middle';
    const [, step] = WINDOWS[this.window];
    for (const t of lines(this.from, this.to, width < 600 ? step * 2 : step)) {
      const x = Math.round(this.x(t)) + 0.5;
      g.strokeStyle = colour('line');
      g.beginPath();
      g.moveTo(x, HEAD - 4);
      g.lineTo(x, height);
      g.stroke();
      g.fillStyle = colour('dim');
      g.textAlign = 'center';
      const text = this.window === 'week' ? new Date(t).toLocaleDateString(undefined, { weekday: 'short', day: 'numeric' }) : local(t, t).slice(0, 5);
      if (x > this.label + 14 && x < width - 18) g.fillText(text, x, HEAD / 2);
    }
    g.save();
    g.beginPath();
    g.rect(0, HEAD, width, height - HEAD);
    g.clip();
    const first = Math.floor(scroll / ROW), last = Math.min(this.rows.length, Math.ceil((scroll + height - HEAD) / ROW));
    for (let i = first; i < last; i++) {
      const row = this.rows[i], y = HEAD + i * ROW - scroll;
      g.textAlign = 'left';
      g.font = '12px ' + font;
      g.fillStyle = colour('text');
      g.fillText(fitted(g, safe(row.id, 60), this.label - 12), 4, y + ROW / 2);
      for (const b of this.of(row)) this.bar(g, b, y, font);
      if (this.at && this.at.row === i) {
        const b = this.at.bar, from = b ? this.x(b.from) : this.label, to = b ? this.x(b.to) : width - 8;
        g.strokeStyle = colour('mark');
        g.lineWidth = 2;
        g.strokeRect(from - 1, y + 2, Math.max(to - from, 2) + 2, ROW - 4);
        g.lineWidth = 1;
      }
    }
    g.restore();
  }
  bar(g, b, y, font) {
    const from = this.x(b.from), wide = Math.max(this.x(b.to) - from, 1.5), { fill, ink } = colour(b.word), calm = b.word === 'idle';
    g.fillStyle = fill;
    g.fillRect(from, y + (calm ? 8 : 4), wide - (wide > 4 ? 1 : 0), ROW - (calm ? 16 : 8));
    if (wide < 16 || calm) return;
    g.font = '600 11px ' + font;
    g.textAlign = 'left';
    g.fillStyle = ink;
    g.fillText(wide > 70 ? look(b.word).letter + ' ' + safe(b.word, 12) : look(b.word).letter, from + 4, y + ROW / 2 + 0.5);
  }
  hit(e) {
    const box = this.canvas.getBoundingClientRect(), y = e.clientY - box.top;
    if (y < HEAD) return null;
    const row = this.rows[Math.floor((y - HEAD + this.box.scrollTop) / ROW)];
    if (!row) return null;
    const t = this.from + (e.clientX - box.left - this.label) / (this.width - this.label - 8) * (this.to - this.from);
    const near = 2 / (this.width - this.label) * (this.to - this.from);
    return { row, bar: this.of(row).find(b => t >= b.from - near && t <= b.to + near) };
  }
  go(i, k) {
    if (!this.rows.length) return;
    i = Math.min(Math.max(i, 0), this.rows.length - 1);
    const list = this.of(this.rows[i]);
    k = Math.min(Math.max(k, 0), list.length - 1);
    this.at = { row: i, k, bar: list[k] };
    const top = i * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top + ROW + HEAD > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + ROW + HEAD - this.box.clientHeight;
    this.draw();
    const box = this.canvas.getBoundingClientRect();
    tip(this.words(this.rows[i], list[k]), box.left + (list[k] ? this.x(list[k].from) : this.label), box.top + HEAD + top - this.box.scrollTop, true);
  }
  key(e) {
    const { row = 0, k = 0 } = this.at || {}, page = Math.floor(this.box.clientHeight / ROW) - 2;
    if (e.key === 'Enter' && this.at) this.open(this.rows[row].id);
    else if (e.key === 'ArrowLeft') this.go(row, k - 1);
    else if (e.key === 'ArrowRight') this.go(row, k + 1);
    else if (['ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', 'Home', 'End'].includes(e.key)) {
      this.go(row + { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 }[e.key], 1e9);
    } else return;
    e.preventDefault();
  }
}
function fitted(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && g.measureText(text.slice(0, n) + '\u2026').width > width) n -= Math.max(1, n >> 3);
  return text.slice(0, n) + '\u2026';
}
// node.mjs
const ROWS_MOST = 100;
class Panel {
  constructor(close) {
    this.el = $('node');
    $('node-close').addEventListener('click', close);
    this.el.addEventListener('keydown', e => {
      if (e.key === 'Escape') close();
    });
    $('node-state').append(badge());
  }
  hide() {
    this.el.hidden = true;
  }
  show(id, row, steps, now) {
    const opened = this.el.hidden || this.id !== id;
    this.el.hidden = false;
    this.id = id;
    put($('node-id'), safe(id, 200));
    $('node-state').hidden = !row;
    const n = row ? row.node : {};
    if (row) showBadge($('node-state').firstChild, row.word);
    put($('node-why'), row ? row.reason || look(row.word).meaning : 'No node of this name is known here. It may have been reaped, or never have reported.');
    facts($('node-facts'), row ? [
      ['next command', safe(n.next, 300)],
      ['state', safe(n.state, 40) + (Number.isFinite(row.since) ? ' since ' + spelled(row.since, now) : ''), utc(row.since)],
      ['age', ageText(row, now) + (Number.isFinite(row.seen) ? ', last report ' + spelled(row.seen, now) : ''), utc(row.seen)],
      ['next report', when(n.beat_next_by) ? 'by ' + spelled(when(n.beat_next_by), now) : '', utc(when(n.beat_next_by))],
      ['part', safe(row.part, 200)],
      ['stacktype', safe(n.stacktype, 200)],
      ['hostname', safe(n.hostname, 200)],
      ['addresses', [...new Set([n.ip, ...(n.addresses || [])])].filter(Boolean).map(a => safe(a, 60)).join(', ')],
      ['agent', safe(n.agent, 200)],
      ['init repository', safe(n.initgitrepo, 200)],
      ['hardware', safe(n.hardware, 200)],
      ['boot', safe(n.boot_id, 200)],
      ['life', births(n.statelog).slice(-6).map(([t, word]) => word + ' ' + local(t, now)).join(', ')],
    ].filter(f => f[1] && f[1] !== 'by -') : []);
    const repos = n.repos || [], services = n.services || [];
    table($('node-repos'), repos.slice(0, ROWS_MOST).map(r => [
      safe(r.name, 100), safe(r.branch, 100), short(r.version), r.due?.length ? short((r.worked || {})[r.due[0]]) : short(r.version), items(r),
    ]), repos.length - ROWS_MOST);
    table($('node-services'), services.slice(0, ROWS_MOST).map(s => [
      safe(s.name, 100), safe(s.ip || n.ip || (n.addresses || [])[0] || '', 60) + (s.port ? ':' + s.port : ''), safe(s.role, 40), s.code === '000000' ? 'available' : 'code ' + safe(s.code, 40), safe(s.state, 100),
    ]), services.length - ROWS_MOST);
    const list = (steps || []).slice(-ROWS_MOST).reverse();
    keyed($('node-steps').tBodies[0], list, s => s[0] + ' ' + s[1] + s[3], () => h('tr', {}, h('td', {}, h('time', {})), h('td', {}, badge()), h('td', {}), h('td', { class: 'wrap' })), (tr, s) => {
      stamp(tr.children[0].firstChild, s[0], local(s[0], now), utc(s[0]));
      showBadge(tr.children[1].firstChild, s[1] || 'unknown');
      put(tr.children[2], s[3] ? 'after ' + safe(s[3], 30) : 'seen first');
      put(tr.children[3], safe(s[2]));
    });
    $('node-steps').hidden = !list.length;
    put($('node-none'), list.length ? '' : 'No transition is known in this window.');
    if (opened) {
      this.el.scrollTop = 0;
      $('node-title').focus({ preventScroll: true });
    }
  }
}
function items(r) {
  const failed = r.failed || {}, due = r.due || [], worked = r.worked || {};
  const open = [...new Set([...due, ...Object.keys(failed)])];
  const done = Object.keys(r.done || {}).filter(i => !open.includes(i)).sort();
  return [done.length ? 'finished: ' + done.slice(0, 30).map(i => safe(i, 60)).join(', ') : '',
    ...open.slice(0, 30).map(i => safe(i, 60) + (failed[i] ? ' failed at ' + short(failed[i]) : ' is due') + (worked[i] ? ', last success ' + short(worked[i]) : ''))].filter(Boolean).join('; ');
}
function facts(dl, list) {
  keyed(dl, list, f => f[0], f => h('div', {}, h('dt', {}, f[0]), h('dd', {})), (el, f) => {
    put(el.lastChild, f[1]);
    attr(el.lastChild, 'title', f[2] || '');
  });
}
function table(el, rows, more) {
  el.hidden = !rows.length;
  if (more > 0) rows.push(['and ' + number(more) + ' more']);
  keyed(el.tBodies[0], rows.map((cells, i) => ({ cells, i })), r => r.i, r => h('tr', {}, r.cells.map(() => h('td', { class: 'wrap' }))), (tr, r) => {
    while (tr.children.length < r.cells.length) tr.append(h('td', { class: 'wrap' }));
    for (let i = 0; i < tr.children.length; i++) put(tr.children[i], r.cells[i] || '');
  });
}
// panels.mjs
function filterLink(to, of) {
  return {
    make: () => h('a', {}, h('bdi', {})),
    show(td, row) {
      const text = of(row), q = row.q ?? text;
      put(td.firstChild.firstChild, text);
      attr(td.firstChild, 'href', q ? to.with({ view: 'nodes', q, node: '' }) : '');
    },
  };
}
function head(td, row) {
  if (!td.firstChild) td.append(h('strong', {}, h('bdi', {})), h('span', {}));
  put(td.firstChild.firstChild, safe(row.head, 200));
  put(td.lastChild, row.text);
  attr(td, 'title', row.text.length > 40 ? row.text : '');
}
const some = (list, most) => list.slice(0, most).map(one => safe(one, 60)).join(', ') + (list.length > most ? ' and ' + number(list.length - most) + ' more' : '');
function versionsTable(to) {
  return new Table('versions', 'versions by repository and branch', [
    { name: 'version', title: 'Version', ...filterLink(to, row => row.version) },
    { name: 'nodes', title: 'Nodes', ...textCell(row => number(row.nodes)) },
    { name: 'share', title: '', make: () => h('meter', { min: 0, max: 1, 'aria-hidden': 'true' }), show: (td, row) => { td.firstChild.value = row.share; } },
    { name: 'note', title: 'Stands', ...textCell(row => row.note) },
  ], { head });
}
function versionRows(list) {
  const rows = [];
  for (const v of list || []) {
    const all = (v.versions || []).reduce((n, one) => n + one.nodes, 0), behind = v.behind || [], key = v.repo + ' ' + v.branch;
    rows.push({ key, head: v.repo + (v.branch ? ' ' + v.branch : ''), text: behind.length ? number(behind.length) + ' of ' + count(all, 'node') + ' behind: ' + some(behind, 6) : count(all, 'node') + ', none behind' });
    for (const one of v.versions || []) {
      rows.push({ key: key + ' ' + one.version, version: short(one.version), q: one.version ? short(one.version) : '', nodes: one.nodes, share: all ? one.nodes / all : 0,
        note: one.version === v.newest ? 'the newest: nodes moved to it last' : 'behind' });
    }
  }
  return rows;
}
function servicesTable(to) {
  return new Table('services', 'services, their endpoints and users', [
    { name: 'kind', title: 'Is', make: badge, show: (td, row) => showBadge(td.firstChild, row.word, '') },
    { name: 'id', title: 'Node', ...filterLink(to, row => row.node) },
    { name: 'address', title: 'Address or item', ...textCell(row => row.address) },
    { name: 'role', title: 'Role', ...textCell(row => row.role) },
    { name: 'note', title: 'Note', ...textCell(row => row.note) },
  ], { head });
}
function serviceRows(list) {
  const rows = [];
  for (const s of list || []) {
    const ends = s.endpoints || [], users = s.users || [], behind = users.filter(u => u.behind).length, key = s.deployment + '/' + s.service;
    rows.push({ key, head: s.service + (s.deployment ? ' of ' + s.deployment : ''), text: number(s.available) + ' of ' + count(ends.length, 'endpoint') + ' available, ' +
      count(users.length, 'user') + (behind ? ', ' + number(behind) + ' behind' : '') });
    for (const e of ends) {
      const well = e.code === '000000' && !e.left;
      rows.push({ key: key + ' e ' + e.node, word: well ? 'available' : 'not available', node: safe(e.node, 200), address: e.ip ? (e.ip.includes(':') ? '[' + e.ip + ']' : e.ip) + (e.port ? ':' + e.port : '') : '-',
        role: safe([e.role, e.mode].filter(w => w && w !== 'na').join(', '), 60), note: well ? '' : e.left ? 'its node is silent' : 'code ' + safe(e.code, 40) });
    }
    for (const u of users) {
      rows.push({ key: key + ' u ' + u.node + ' ' + u.item, word: u.behind ? 'behind' : 'user', node: safe(u.node, 200), address: safe(u.item, 200), role: 'uses it', note: u.behind ? 'its last success was with other endpoints' : '' });
    }
  }
  return rows;
}
function queueTable() {
  return new Table('queue', 'actions of the doctor', [
    { name: 'phase', title: 'Phase', make: badge, show: (td, row) => showBadge(td.firstChild, row.phase) },
    { name: 'id', title: 'Action', ...textCell(row => row.what) },
    { name: 'since', title: 'Added', ...sinceCell(row => row.added) },
    { name: 'by', title: 'Doctor', ...textCell(row => row.by) },
    { name: 'note', title: 'Waits for', ...textCell(row => row.text) },
  ], { head });
}
function queueRows(list) {
  return (list || []).map(e => ({
    key: e.id, phase: e.phase, what: safe(e.id, 60) + ' ' + safe(e.action, 100), added: when(e.added), by: safe(e.by, 60),
    text: safe([e.text, e.result].filter(Boolean).join('; ')),
  }));
}
// main.mjs
const MANY = 200;
let link = parsed(location.hash);
const page = { all: [], sort: '', rows: [], listed: [], steps: new Map(), from: Infinity, line: 'connecting', lost: 0, drawn: 0, asked: 0, left: null };
const to = {
  base: '',
  with: change => formatted({ ...link, ...change }),
  node: id => formatted({ ...link, node: id }),
};
function go(change, push = true) {
  const next = formatted({ ...link, ...change });
  if (next === formatted(link)) return;
  if (push) history.pushState(null, '', next);
  else history.replaceState(null, '', next);
  follow();
}
function follow() {
  const before = link;
  link = parsed(location.hash);
  to.base = formatted({ ...link, node: '' });
  if (link.node && !before.node) page.left = document.activeElement;
  if ($('filter').value !== link.q && document.activeElement !== $('filter')) $('filter').value = link.q;
  if (link.view === 'timeline' || link.node) fetchHistory();
  arrange();
  if (!link.node && before.node && page.left?.isConnected) page.left.focus({ preventScroll: true });
}
const open = id => go({ node: id });
const list = nodesTable(to, by => go({ sort: link.sort === by ? '-' + by : by }));
const tiles = new Tiles(open, now);
const timeline = new Timeline(to, open, now);
const panel = new Panel(() => go({ node: '' }));
const tables = { nodes: list, versions: versionsTable(to), services: servicesTable(to), queue: queueTable() };
for (const [name, table] of Object.entries(tables)) $('view-' + name).append(table.el);
function ordered() {
  let all = [];
  if (page.sort === link.sort) all = page.all.map(r => model.rows.get(r.id)).filter(Boolean);
  if (all.length < model.rows.size) {
    const have = new Set(all);
    for (const r of model.rows.values()) if (!have.has(r)) all.push(r);
  }
  page.sort = link.sort;
  return sorted(all, link.sort);
}
function arrange() {
  performance.mark('arrange');
  const all = page.all = ordered(), wanted = words(link.q);
  page.rows = wanted.length ? all.filter(r => passes(r, wanted)) : all;
  page.listed = /^-?part$/.test(link.sort) ? grouped(page.rows) : page.rows;
  const t = now();
  showTop(sorted(all.filter(r => r.rank < 5), 'trouble'), all.length, to, t, model.whole, most());
  showCounts(all);
  if (page.base !== to.base) for (const name of VIEWS) {
    $('view-' + name).hidden = name !== link.view;
    const a = $('to-' + name);
    attr(a, 'aria-current', name === link.view ? 'page' : '');
    a.href = to.with({ view: name, node: '' });
  }
  page.base = to.base;
  $('to-queue').hidden = !model.top.queue;
  put($('found'), !model.whole ? '' : wanted.length ? number(page.rows.length) + ' of ' + count(all.length, 'node') : count(all.length, 'node'));
  const none = !page.rows.length && wanted.length > 0 && model.whole;
  $('none').hidden = !none;
  if (none) put($('none'), 'No node matches. Take words away, or press Escape in the filter to see all ' + number(all.length) + '.');
  draw(t);
  if (link.node) panel.show(link.node, model.rows.get(link.node), page.steps.get(link.node), t);
  else panel.hide();
  document.body.classList.toggle('with-node', !!link.node);
  document.title = titled(all);
  performance.measure('arranged', 'arrange');
  if (++page.drawn % 200 === 0) performance.clearMeasures('arranged');
  performance.clearMarks('arrange');
}
function titled(all) {
  const top = counted(all)[0];
  const bad = all.reduce((n, r) => n + (r.rank < 5 ? 1 : 0), 0);
  return (bad && top ? number(bad) + ' ' + (bad === 1 ? safe(top[0], 30) : 'in trouble') + ' \u00b7 ' : '') + 'addagent grid';
}
function draw(t) {
  if (link.view === 'nodes') {
    tiles.set(page.rows.length < MANY ? [] : link.sort === 'part' ? page.rows : sorted(page.rows, 'part'));
    list.order(link.sort);
    list.set(page.listed, t);
  } else if (link.view === 'timeline') {
    for (const b of $('windows').children) b.setAttribute('aria-pressed', b.value === link.window);
    timeline.set(page.rows, page.steps, link.window);
  } else {
    const rows = { versions: versionRows, services: serviceRows, queue: queueRows }[link.view](model.top[link.view]);
    tables[link.view].set(rows, t);
    put($('empty-' + link.view), rows.length || !model.whole ? '' : { versions: 'No node has reported a repository.', services: 'No node offers or uses a service.', queue: 'The queue is empty.' }[link.view]);
  }
}
const most = () => (link.view === 'nodes' ? 8 : 3) - (innerWidth < 820 ? 2 : 0) - (model.rows.size >= MANY && link.view === 'nodes' ? 3 : 0);
function showCounts(all) {
  keyed($('counts'), counted(all), c => c[0], ([word]) => h('li', {}, h('button', { type: 'button', onclick: () => go({ q: link.q === 'state:' + word ? '' : 'state:' + word, view: link.view === 'timeline' ? 'timeline' : 'nodes' }) }, badge(), h('b', {}))), (li, [word, n]) => {
    const button = li.firstChild;
    showBadge(button.firstChild, word);
    put(button.lastChild, number(n));
    button.setAttribute('aria-pressed', link.q === 'state:' + word);
  });
}
function showSource() {
  const top = model.top, t = now(), error = top.error, exported = self.addctlData;
  put($('where'), safe(top.presence, 300));
  let line = page.line, text = { connecting: 'connecting', live: 'live', lost: 'no connection', hidden: 'paused', file: 'file' }[line];
  if (line === 'live' && error) [line, text] = ['stale', 'not read'];
  $('line').className = 'line l-' + line;
  put($('line'), text);
  const at = when(top.time), folded = when(top.folded);
  put($('asof'), !model.whole ? '' : exported ? 'as of ' + local(at, Date.now()) + ', ' + duration(Date.now() - at) + ' ago' : top.from === 'fold' && Number.isFinite(folded) ? 'from the fold of ' + local(folded, t) : '');
  attr($('asof'), 'title', utc(exported ? at : folded));
  let warning = '';
  if (error) warning = 'The presence repository has not been read since ' + spelledSince(when(error.since), t) + ': ' + safe(error.text) + '. Shown is what was known.';
  else if (page.line === 'lost') warning = 'No connection to addctl web since ' + local(page.lost, t) + '. Shown is what was known; it is tried again by itself.';
  else if (exported && Date.now() - at > 3600e3) warning = 'These data are old: they were made ' + duration(Date.now() - at) + ' ago, at ' + local(at, Date.now()) + '.';
  put($('warning'), warning);
  $('warning').hidden = !warning;
  const notes = (exported?.note ? [exported.note] : []).concat(top.notes || []).map(n => safe(n));
  const shown = notes.length > 3 ? [...notes.slice(0, 2), number(notes.length - 2) + ' more notes: addctl nodes prints them'] : notes;
  keyed($('notes'), shown, n => n, () => h('li', {}), (li, n) => put(li, n));
}
function spelledSince(t, at) {
  return local(t, at) + ' (' + duration(at - t) + ')';
}
function told(kind, data) {
  const first = !model.whole;
  performance.mark('told');
  const stepped = take(data, kind === 'grid');
  const t = Math.round(now());
  for (const [row, from] of stepped) {
    const steps = page.steps.get(row.id) || [];
    if (!steps.length) page.steps.set(row.id, steps);
    const at = Number.isFinite(row.since) && row.node.age === 'present' && row.since > (steps.at(-1)?.[0] || 0) ? row.since : t;
    steps.push([at, row.word === row.node.state && row.node.age === 'present' && ['late', 'missing'].includes(from) ? 'present' : row.word, row.reason, from]);
    if (steps.length > 5000) steps.splice(0, 1000);
  }
  arrange();
  showSource();
  performance.measure(first ? 'list usable' : 'update', 'told');
  performance.clearMarks('told');
  if (first && (link.view === 'timeline' || link.node)) fetchHistory();
  if (kind === 'grid' && !first) page.from = Infinity;
}
async function fetchHistory() {
  if (!model.whole) return;
  const span = link.node ? WINDOWS.week[0] : WINDOWS[link.window][0], from = now() - span;
  if (from >= page.from - 1000 || page.asking) return;
  page.asking = true;
  try {
    performance.mark('history');
    const data = self.addctlData ? self.addctlData.history : await (await fetched('history.json?since=' + Math.floor(from / 1000))).json();
    performance.mark('history read');
    const before = page.steps;
    page.steps = timelines(data || {});
    for (const [id, steps] of before) { // what the server's history does not have yet: a fold may be a minute late
      const have = page.steps.get(id) || [];
      const more = steps.filter(s => s[0] > (data?.time || 0) * 1000 - 120e3 && !have.some(h => h[1] === s[1] && Math.abs(h[0] - s[0]) < 60e3));
      if (more.length) page.steps.set(id, [...have, ...more].sort((a, b) => a[0] - b[0]));
    }
    page.from = self.addctlData ? -Infinity : from;
    put($('history-note'), safe(data?.note));
    arrange();
    performance.measure('history drawn', 'history read');
  } catch (e) {
    put($('history-note'), 'The history could not be read: ' + safe(e.message) + '.');
  } finally {
    page.asking = false;
  }
}
async function fetched(url) {
  const answer = await fetch(url, { credentials: 'same-origin' });
  if (!answer.ok) throw new Error(answer.status + ' ' + answer.statusText);
  return answer;
}
function tick() {
  if (document.hidden || !model.whole) return;
  showSource();
  const t = now();
  showTop(sorted([...model.rows.values()].filter(r => r.rank < 5), 'trouble'), model.rows.size, to, t, true, most());
  const table = tables[link.view];
  if (table) {
    table.now = t;
    table.draw();
  }
  if (link.view === 'timeline' && t - timeline.to > WINDOWS[link.window][0] / 300) timeline.set(page.rows, page.steps, link.window);
  if (link.node) panel.show(link.node, model.rows.get(link.node), page.steps.get(link.node), t);
}
function begin() {
  const redraw = () => requestAnimationFrame(() => {
    if (link.view === 'nodes') tiles.draw();
    tables[link.view]?.draw();
    if (link.view === 'timeline') {
      timeline.draw();
      timeline.table.draw();
    }
  });
  addEventListener('scroll', redraw, { passive: true });
  addEventListener('resize', redraw);
  addEventListener('popstate', follow);
  document.addEventListener('click', e => { // links of the page change what it shows, and load nothing
    const a = e.target.closest?.('a[href^="#"]');
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey || a.classList.contains('skip')) return;
    e.preventDefault();
    history.pushState(null, '', a.getAttribute('href'));
    follow();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    forget();
    redraw();
  });
  $('filter').value = link.q;
  $('filter').addEventListener('input', () => go({ q: $('filter').value }, false));
  $('filter').addEventListener('keydown', e => {
    if (e.key === 'Escape') {
      $('filter').value = '';
      go({ q: '' }, false);
    }
  });
  document.addEventListener('keydown', e => {
    if (e.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName) && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      $('filter').focus();
    } else if (e.key === 'Escape' && link.node) go({ node: '' });
  });
  for (const w of Object.keys(WINDOWS)) {
    $('windows').append(h('button', { type: 'button', value: w, onclick: () => go({ window: w }) }, w[0].toUpperCase() + w.slice(1)));
  }
  setInterval(tick, 1000);
  follow();
  if (self.addctlData) {
    page.line = 'file';
    told('grid', self.addctlData.grid);
  } else {
    new Stream('events', told, line => {
      if (line === 'lost' && page.line !== 'lost') page.lost = now();
      if (line === 'live' && page.line !== 'live') page.from = Infinity;
      page.line = line;
      if (line === 'live' && (link.view === 'timeline' || link.node)) fetchHistory();
      showSource();
    });
  }
  showSource();
}
begin();
})();
