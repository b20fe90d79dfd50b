// One tile per node, where there are too many for a list: a letter in its colour.
import { $ } from './dom.mjs';
import { look } from './states.mjs';
import { stamped, colour, sized, tip } from './paint.mjs';
import { tilemap, tileSize } from './tilemap.mjs';
import { safe, number, column } from './words.mjs';

export class Tiles {
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

  // draw draws the tiles in sight.
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
    // What is drawn already stays, but for the tiles with another word: most updates are of a few nodes.
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
