// The timeline: a row per node in the order of the list, its bars on a canvas, and the same bars as a table.
import { $, h } from './dom.mjs';
import { look } from './states.mjs';
import { colour, sized, tip } from './paint.mjs';
import { bars, births, lines, WINDOWS } from './bars.mjs';
import { Table } from './table.mjs';
import { nodeLink, stateCell, textCell, timeCell } from './cells.mjs';
import { duration, local, utc, safe, number } from './words.mjs';

const ROW = 24, HEAD = 26;

export class Timeline {
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

  // set takes rows, and the steps of all nodes.
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

  // fill makes the table's rows a few nodes at a time, so that the page answers meanwhile.
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

  // shown are the steps of a node, the last one what it says now.
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

  // draw draws the rows in sight.
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

  // go marks a bar: that of a row, by its number.
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

// fitted is a text that is no wider than that.
function fitted(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && g.measureText(text.slice(0, n) + '\u2026').width > width) n -= Math.max(1, n >> 3);
  return text.slice(0, n) + '\u2026';
}
