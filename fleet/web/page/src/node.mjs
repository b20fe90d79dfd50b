// One node in full: its record, its repositories and services, and its transitions as a table.
import { h, $, put, attr, badge, keyed, stamp } from './dom.mjs';
import { showBadge, spelled, ageText } from './cells.mjs';
import { look } from './states.mjs';
import { births } from './bars.mjs';
import { short, local, utc, safe, when, number } from './words.mjs';

const ROWS_MOST = 100; // of repositories, of services, of transitions: a record may have a thousand

// Panel is the panel of one node. It is made once and then changed.
export class Panel {
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

  // show shows a node; row is absent where no such node is known.
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

// items are what a repository has finished, and what it has not.
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
