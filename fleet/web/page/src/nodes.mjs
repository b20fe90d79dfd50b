// The list of nodes, and what needs attention on top of the page.
import { h, $, put, attr, keyed, badge, stamp, copies } from './dom.mjs';
import { Table } from './table.mjs';
import { showBadge, stateCell, nodeLink, textCell, sinceCell, ageText } from './cells.mjs';
import { look, needs } from './states.mjs';
import { ranked } from './rows.mjs';
import { column, count, local, utc, number, safe } from './words.mjs';

// nodesTable is the list.
export function nodesTable(to, sort) {
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


// showTop shows what needs attention, the most urgent first and no more than most, and announces it.
export function showTop(rows, all, to, now, read, most) {
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

// announce says the trouble on top once, and again only when it is another one.
function announce(wanted) {
  const first = wanted[0];
  const text = first ? count(wanted.length, 'node') + (wanted.length === 1 ? ' needs' : ' need') + ' attention. On top: ' +
    safe(first.id, 100) + ' is ' + safe(first.word, 30) + (first.reason ? ', ' + safe(first.reason, 200) : '') : '';
  if (text === heard.top) return;
  put($('said'), text || (heard.top ? 'All nodes are well again.' : ''));
  heard.top = text;
}
