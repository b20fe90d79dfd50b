// Versions, services and the doctor's queue, each a table whose rows are made of what the server says.
import { h, put, attr, badge } from './dom.mjs';
import { Table } from './table.mjs';
import { showBadge, textCell, sinceCell } from './cells.mjs';
import { count, short, number, safe, when } from './words.mjs';

// filterLink shows what can be filtered by.
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

// heads put what a table is grouped by over its rows.
function head(td, row) {
  if (!td.firstChild) td.append(h('strong', {}, h('bdi', {})), h('span', {}));
  put(td.firstChild.firstChild, safe(row.head, 200));
  put(td.lastChild, row.text);
  attr(td, 'title', row.text.length > 40 ? row.text : '');
}

const some = (list, most) => list.slice(0, most).map(one => safe(one, 60)).join(', ') + (list.length > most ? ' and ' + number(list.length - most) + ' more' : '');

// versionsTable shows how many nodes of a repository and branch are at which version, and who is behind.
export function versionsTable(to) {
  return new Table('versions', 'versions by repository and branch', [
    { name: 'version', title: 'Version', ...filterLink(to, row => row.version) },
    { name: 'nodes', title: 'Nodes', ...textCell(row => number(row.nodes)) },
    { name: 'share', title: '', make: () => h('meter', { min: 0, max: 1, 'aria-hidden': 'true' }), show: (td, row) => { td.firstChild.value = row.share; } },
    { name: 'note', title: 'Stands', ...textCell(row => row.note) },
  ], { head });
}

export function versionRows(list) {
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

// servicesTable shows who offers a service, who uses it, and who is behind.
export function servicesTable(to) {
  return new Table('services', 'services, their endpoints and users', [
    { name: 'kind', title: 'Is', make: badge, show: (td, row) => showBadge(td.firstChild, row.word, '') },
    { name: 'id', title: 'Node', ...filterLink(to, row => row.node) },
    { name: 'address', title: 'Address or item', ...textCell(row => row.address) },
    { name: 'role', title: 'Role', ...textCell(row => row.role) },
    { name: 'note', title: 'Note', ...textCell(row => row.note) },
  ], { head });
}

export function serviceRows(list) {
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

// queueTable shows what the doctor's queue waits for.
export function queueTable() {
  return new Table('queue', 'actions of the doctor', [
    { name: 'phase', title: 'Phase', make: badge, show: (td, row) => showBadge(td.firstChild, row.phase) },
    { name: 'id', title: 'Action', ...textCell(row => row.what) },
    { name: 'since', title: 'Added', ...sinceCell(row => row.added) },
    { name: 'by', title: 'Doctor', ...textCell(row => row.by) },
    { name: 'note', title: 'Waits for', ...textCell(row => row.text) },
  ], { head });
}

export function queueRows(list) {
  return (list || []).map(e => ({
    key: e.id, phase: e.phase, what: safe(e.id, 60) + ' ' + safe(e.action, 100), added: when(e.added), by: safe(e.by, 60),
    text: safe([e.text, e.result].filter(Boolean).join('; ')),
  }));
}
