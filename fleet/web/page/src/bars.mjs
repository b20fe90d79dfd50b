// The timeline: from what a node went through to the bars of its row.

// timelines turns the compact history of the server into steps by node: id to a list of [time, word, reason, from],
// oldest first.
export function timelines({ ids = [], words = [], texts = [], list = [] }) {
  const all = ids.map(() => []);
  for (const [t, id, from, to, reason] of list) all[id]?.push([t * 1000, words[to], texts[reason] || '', words[from]]);
  for (const one of all) {
    if (one.some((s, i) => i && s[0] < one[i - 1][0])) one.sort((a, b) => a[0] - b[0]);
  }
  return new Map(ids.map((id, i) => [id, all[i]]));
}

const AGES = new Set(['late', 'missing', 'present', 'gone']);

// bars are what a node showed between two times: {from, to, word, reason}. Steps are those of timelines, births the
// steps of its statelog. An age hides the state below it until the node is present again.
export function bars(steps, births, from, to, now) {
  const list = [];
  let state = '', why = '', age = '', since = NaN;
  const end = Math.min(to, now);
  const put = (until) => {
    const word = age || state;
    if (!word || !(until > from) || !(since < end)) return;
    const a = Math.max(since, from), b = Math.min(until, end), last = list[list.length - 1];
    if (!(b > a)) return;
    if (last && last.word === word && last.reason === why && last.to === a) last.to = b;
    else list.push({ from: a, to: b, word, reason: why });
  };
  for (const [t, word, reason, was] of merged(steps || [], births || [])) {
    if (!state && !age && was) { // what it was before the first step that is known
      since = from;
      if (AGES.has(was)) age = was === 'present' ? '' : was;
      else state = was;
    }
    put(t);
    since = t;
    if (!AGES.has(word)) {
      state = word;
      if (age) age = ''; // it has reported
    } else age = word === 'present' ? '' : word;
    why = reason || '';
  }
  put(end);
  return list;
}

// merged adds the births that the steps do not have.
function merged(steps, births) {
  const missing = births.filter(([t, word]) => !steps.some(s => s[1] === word && Math.abs(s[0] - t) < 120e3));
  return missing.length ? [...steps, ...missing].sort((a, b) => a[0] - b[0]) : steps;
}

// births reads a statelog: setup:20151008-174611;initdone:20151008-174633;
export function births(log) {
  const list = [];
  for (const m of (log || '').matchAll(/([a-z]{1,20}):(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d);/g)) {
    list.push([Date.UTC(+m[2], m[3] - 1, +m[4], +m[5], +m[6], +m[7]), m[1], '', '']);
  }
  return list;
}

// WINDOWS are how far the timeline looks back, in milliseconds, and the distances between its lines.
export const WINDOWS = { hour: [3600e3, 600e3], day: [86400e3, 4 * 3600e3], week: [7 * 86400e3, 86400e3] };

// lines are the times of the lines of a window, at whole units of the browser's zone.
export function lines(from, to, step) {
  const zone = new Date(to).getTimezoneOffset() * 60e3, list = [];
  for (let t = Math.ceil((from - zone) / step) * step + zone; t < to; t += step) list.push(t);
  return list;
}
