// The cells that several tables share.
import { h, put, attr, badge, stamp } from './dom.mjs';
import { look } from './states.mjs';
import { column, duration, local, utc, safe } from './words.mjs';

// showBadge gives a badge its word.
export function showBadge(el, word, more = '') {
  if (el.word === word && el.more === more) return;
  el.word = word;
  el.more = more;
  const row = look(word);
  el.className = 'badge s-' + row.like;
  put(el.firstChild, row.letter);
  put(el.lastChild, safe(word, 30) + (more ? ' ' + more : ''));
  attr(el, 'title', row.meaning);
}

export const stateCell = { make: badge, show: (td, row) => showBadge(td.firstChild, row.word, row.was || '') };

// nodeLink leads to a node; its address is set by the page, which knows what else the link holds.
export function nodeLink(to) {
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

// textCell shows a text of a row, and all of it on hover.
export function textCell(of) {
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

// sinceCell is for how long something has been so, and since when on hover.
export function sinceCell(of, least) {
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

// timeCell is a moment in the browser's zone, UTC on hover.
export function timeCell(of) {
  return {
    make: () => h('time', {}),
    show(td, row, now) {
      const t = of(row);
      stamp(td.firstChild, t, local(t, now), utc(t));
    },
  };
}

// ageText is how current a node's record is: present, or late and by how much.
export function ageText(row, now) {
  const age = row.node.age || '-';
  if (age === 'present' || !Number.isFinite(row.seen)) return age;
  return row.seen > now + 120e3 ? age + ', ahead ' + column(row.seen - now) : age + ' ' + column(now - row.seen);
}

// spelled is a moment and its distance: 14:03:05 (5 min ago).
export function spelled(t, now) {
  if (!Number.isFinite(t)) return '-';
  return local(t, now) + (t > now ? ' (in ' + duration(t - now) + ')' : ' (' + duration(now - t) + ' ago)');
}
