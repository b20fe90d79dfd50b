// The page: what is known, what the link says, and what is drawn of it.
import { $, put, keyed, h, attr, badge } from './dom.mjs';
import { model, now, take } from './model.mjs';
import { Stream } from './stream.mjs';
import { words, passes, sorted, grouped, counted } from './rows.mjs';
import { parsed, formatted, VIEWS } from './link.mjs';
import { nodesTable, showTop } from './nodes.mjs';
import { Tiles } from './tiles.mjs';
import { Timeline } from './timeline.mjs';
import { Panel } from './node.mjs';
import { versionsTable, versionRows, servicesTable, serviceRows, queueTable, queueRows } from './panels.mjs';
import { showBadge } from './cells.mjs';
import { timelines, WINDOWS } from './bars.mjs';
import { forget } from './paint.mjs';
import { count, duration, local, number, safe, utc, when } from './words.mjs';

const MANY = 200; // nodes from which tiles come first

let link = parsed(location.hash);
const page = { all: [], sort: '', rows: [], listed: [], steps: new Map(), from: Infinity, line: 'connecting', lost: 0, drawn: 0, asked: 0, left: null };

// to makes links that keep the rest of what is shown.
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

// ordered is all rows in the order of the link. It begins with the order before, because what is nearly sorted is
// sorted soon.
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

// arrange sorts and filters what is known, and draws it.
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

// most is how many rows the top may take from what is below it.
const most = () => (link.view === 'nodes' ? 8 : 3) - (innerWidth < 820 ? 2 : 0) - (model.rows.size >= MANY && link.view === 'nodes' ? 3 : 0);

// showCounts shows how many nodes are in which state; each is a filter.
function showCounts(all) {
  keyed($('counts'), counted(all), c => c[0], ([word]) => h('li', {}, h('button', { type: 'button', onclick: () => go({ q: link.q === 'state:' + word ? '' : 'state:' + word, view: link.view === 'timeline' ? 'timeline' : 'nodes' }) }, badge(), h('b', {}))), (li, [word, n]) => {
    const button = li.firstChild;
    showBadge(button.firstChild, word);
    put(button.lastChild, number(n));
    button.setAttribute('aria-pressed', link.q === 'state:' + word);
  });
}

// showSource says where all of it comes from, and what is wrong with that.
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

// told takes in what the server sent.
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
  if (kind === 'grid' && !first) page.from = Infinity; // what was missed meanwhile is in the history
}

// fetchHistory asks for as much history as the window needs, once.
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

// Every second the ages in sight go on.
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
    if (link.view === 'nodes') tiles.draw(); // it reads the layout, which the table then changes
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
