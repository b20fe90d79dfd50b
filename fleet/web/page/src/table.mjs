// A table of any length: rows of one height, of which only those in sight are elements.
import { h, keyed } from './dom.mjs';

const SPARE = 8; // rows above and below what is in sight

// Table shows rows {key, ...} in columns {name, title, make(), show(cell, row, now), sort}. Its rows keep the order of
// the list also as elements, for the keyboard and for screen readers.
export class Table {
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

  // set takes other rows, and shows them.
  set(rows, now) {
    this.rows = rows;
    this.index = null;
    this.now = now;
    this.el.setAttribute('aria-rowcount', rows.length + 1);
    this.draw();
  }

  // order marks the column that the rows are sorted by.
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

  // draw shows what is in sight now.
  draw() {
    if (!this.el.isConnected) return;
    const height = this.height = parseFloat(getComputedStyle(this.el).getPropertyValue('--row')) || 36;
    this.body.style.height = this.rows.length * height + 'px';
    const box = this.body.getBoundingClientRect();
    const first = Math.max(0, Math.floor(-box.top / height) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - box.top) / height) + SPARE);
    const shown = [];
    for (let i = first; i < last; i++) shown.push(i);
    // The row with the focus stays, or the keyboard would begin at the top again.
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

  // key moves by rows: arrows, page up and down, home and end.
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

  // focus goes to a row, wherever that is.
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
