// The one stream of the page. A hidden tab closes it: browsers allow six connections to one host.

// Stream keeps one EventSource open while the page is in sight. told gets ('grid' | 'change', data), state gets
// 'live', 'lost' or 'hidden'.
export class Stream {
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
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      this.close();
      this.timer = setTimeout(() => this.look(), Math.min(30e3, 1000 * 2 ** this.tries++) * (0.75 + Math.random() / 2));
    };
  }
}
