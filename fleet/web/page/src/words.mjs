// How values are worded. Times are milliseconds since 1970, durations are milliseconds.

const S = 1000, M = 60 * S, H = 60 * M, D = 24 * H;

// duration is in at most two units: 40 s, 3 min, 2 h 5 min, 3 days.
export function duration(ms) {
  if (!(ms >= S)) return '0 s';
  if (ms < 2 * M) return Math.floor(ms / S) + ' s';
  if (ms < H) return Math.floor(ms / M) + ' min';
  if (ms < 2 * D) {
    const rest = Math.floor(ms / M) % 60;
    return Math.floor(ms / H) + ' h' + (rest ? ' ' + rest + ' min' : '');
  }
  return Math.floor(ms / D) + ' days';
}

// column is a duration in one unit of one letter: 90s, 90m, 40h, 3d.
export function column(ms) {
  if (!(ms >= 0)) return '0s';
  if (ms < 2 * M) return Math.floor(ms / S) + 's';
  if (ms < 2 * H) return Math.floor(ms / M) + 'm';
  return ms < 2 * D ? Math.floor(ms / H) + 'h' : Math.floor(ms / D) + 'd';
}

// when reads a time of the server: NaN where there is none, or Go's zero time.
export function when(text) {
  const t = Date.parse(text || '');
  return t > 0 ? t : NaN;
}

// utc is a time for a hover: 2026-03-01 18:30:00 UTC.
export function utc(t) {
  return Number.isFinite(t) ? new Date(t).toISOString().slice(0, 19).replace('T', ' ') + ' UTC' : '';
}

// local is a time in the browser's zone, without the date on the same day.
export function local(t, now) {
  if (!Number.isFinite(t)) return '-';
  const at = new Date(t), day = new Date(now);
  const two = n => String(n).padStart(2, '0');
  const clock = two(at.getHours()) + ':' + two(at.getMinutes()) + ':' + two(at.getSeconds());
  if (at.toDateString() === day.toDateString()) return clock;
  return at.getFullYear() + '-' + two(at.getMonth() + 1) + '-' + two(at.getDate()) + ' ' + clock;
}

// count is a number and a noun: 1 node, 1,000 nodes.
export function count(n, noun) {
  return number(n) + ' ' + noun + (n === 1 ? '' : 's');
}

// number has a comma at thousands.
export function number(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}

// short is a commit, cut short; another word stays as it is.
export function short(text) {
  return !text ? 'nothing' : /^[0-9a-f]{40,64}$/.test(text) ? text.slice(0, 7) : safe(text, 40);
}

// safe is any text as one line: what draws nothing, or turns the direction of others, is a mark or a blank.
export function safe(text, most = 500) {
  let s = String(text ?? '');
  if (/[^\x20-\x7e]/.test(s)) {
    s = s.replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u206f\u061c\ufeff\ufff0-\ufffc]|[\ud800-\udbff](?![\udc00-\udfff])/g, '\ufffd')
      .replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ');
  }
  return s.length > most ? s.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '') + '\u2026' : s;
}
