// The link holds what the page shows, so that it can be shared.
import { ORDERS } from './rows.mjs';
import { WINDOWS } from './bars.mjs';

export const VIEWS = ['nodes', 'timeline', 'versions', 'services', 'queue'];

// parsed reads the part of a link after #. What it does not know is the default.
export function parsed(hash) {
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

// formatted is the link of what is shown, without what is the default.
export function formatted(s) {
  const p = new URLSearchParams();
  const none = parsed('');
  for (const key of Object.keys(none)) if (s[key] && s[key] !== none[key]) p.set(key, s[key]);
  return '#' + p;
}
