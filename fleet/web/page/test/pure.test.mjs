// The pure functions of the page, by node's own test runner.
import test from 'node:test';
import assert from 'node:assert/strict';
import { duration, column, count, number, safe, short, utc, when, local } from '../src/words.mjs';
import { look, standing, needs, STATES } from '../src/states.mjs';
import { words, hay, passes, sorted, grouped, ranked, counted, ORDERS } from '../src/rows.mjs';
import { bars, births, lines, timelines, WINDOWS } from '../src/bars.mjs';
import { tilemap, tileSize } from '../src/tilemap.mjs';
import { parsed, formatted } from '../src/link.mjs';
import { rowOf, deployed, take, model, now } from '../src/model.mjs';

const node = (id, more = {}) => ({ 'instance-id': id, deployment: 'fed1', nodepart: 'app1', state: 'idle', age: 'present', reason: '', repos: [], ...more });

test('durations and counts read as those of the commands', () => {
  assert.equal(duration(40e3), '40 s');
  assert.equal(duration(3 * 60e3), '3 min');
  assert.equal(duration(125 * 60e3), '2 h 5 min');
  assert.equal(duration(3 * 86400e3), '3 days');
  assert.equal(duration(-5), '0 s');
  assert.equal(column(90e3), '90s');
  assert.equal(column(90 * 60e3), '90m');
  assert.equal(column(40 * 3600e3), '40h');
  assert.equal(column(72 * 3600e3), '3d');
  assert.equal(column(NaN), '0s');
  assert.equal(count(1, 'node'), '1 node');
  assert.equal(count(1234567, 'node'), '1,234,567 nodes');
  assert.equal(number(999), '999');
});

test('times are local, and UTC on hover', () => {
  const t = when('2026-03-01T18:30:00Z');
  assert.equal(utc(t), '2026-03-01 18:30:00 UTC');
  assert.match(local(t, t), /^\d\d:\d\d:\d\d$/);
  assert.match(local(t, t + 40 * 86400e3), /^2026-0\d-\d\d /);
  assert.ok(Number.isNaN(when('0001-01-01T00:00:00Z')));
  assert.ok(Number.isNaN(when(undefined)));
  assert.equal(local(NaN, t), '-');
  assert.equal(utc(NaN), '');
});

test('hostile texts become one line without control and direction characters', () => {
  assert.equal(safe('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>'); // text, and shown as text
  assert.equal(safe('a\x00b\x1b[31mc\u2028d'), 'a b [31mc d');
  assert.equal(safe('\u202eevil\u2066'), '\ufffdevil\ufffd');
  assert.equal(safe('a\ud800b'), 'a\ufffdb');
  assert.equal(safe('x'.repeat(600)).length, 500);
  assert.equal(safe('😀'.repeat(400)).at(-1), '…');
  assert.ok(!/[\ud800-\udbff]…$/.test(safe('a' + '😀'.repeat(400))));
  assert.equal(safe(undefined), '');
  assert.equal(short('a'.repeat(40)), 'aaaaaaa');
  assert.equal(short(''), 'nothing');
});

test('a node shows the word that says most', () => {
  assert.equal(standing(node('a')), 'idle');
  assert.equal(standing(node('a', { age: 'missing' })), 'missing');
  assert.equal(standing(node('a', { state: 'wedged', age: 'late' })), 'wedged');
  assert.equal(standing(node('a', { state: 'wedged', age: 'gone' })), 'gone');
  assert.equal(standing(node('a', { state: '' })), 'unknown');
  assert.ok(['wedged', 'missing', 'failing', 'late', 'disabled'].every(needs));
  assert.ok(!['idle', 'working', 'gone', 'constructor', '__proto__'].some(needs));
  assert.equal(look('<b>').letter, '?');
  const letters = STATES.filter(([w]) => w !== 'gone').map(([, l]) => l);
  assert.equal(new Set(letters).size, letters.length); // a letter stands for one word
});

const rows = [
  rowOf(node('i-b', { state: 'wedged', reason: 'exit 3', since: '2026-01-01T00:00:02Z' })),
  rowOf(node('i-a', { addresses: ['10.0.0.7'], since: '2026-01-01T00:00:03Z' })),
  rowOf(node('i-c', { nodepart: 'db1', age: 'late', hostname: 'DB.example.org', repos: [{ name: 'ops', branch: 'main', version: 'c0ffee'.padEnd(40, '0') }] })),
];

test('the filter finds part, state, version, id and address', () => {
  const found = q => rows.filter(r => passes(r, words(q))).map(r => r.id).join(' ');
  assert.equal(found(''), 'i-b i-a i-c');
  assert.equal(found('db1'), 'i-c');
  assert.equal(found('fed1/app1'), 'i-b i-a');
  assert.equal(found('WEDGED'), 'i-b');
  assert.equal(found('c0ffee0'), 'i-c');
  assert.equal(found('10.0.0.7'), 'i-a');
  assert.equal(found('db.example'), 'i-c');
  assert.equal(found('state:late'), 'i-c');
  assert.equal(found('app1 exit'), 'i-b');
  assert.equal(found('nothing-of-it'), '');
  assert.equal(hay(node('i-x'), 'idle').includes('undefined'), false);
});

test('every order sorts, and back; the same order each time', () => {
  const ids = order => sorted(rows, order).map(r => r.id).join(' ');
  assert.equal(ids('part'), 'i-b i-a i-c');
  assert.equal(ids('trouble'), 'i-b i-c i-a');
  assert.equal(ids('state'), 'i-b i-c i-a');
  assert.equal(ids('id'), 'i-a i-b i-c');
  assert.equal(ids('-id'), 'i-c i-b i-a');
  assert.equal(ids('since'), 'i-a i-b i-c');
  for (const order of ORDERS) {
    assert.equal(sorted(rows, order).length, 3);
    assert.deepEqual(sorted(rows.toReversed(), order).map(r => r.id), sorted(rows, order).map(r => r.id));
  }
});

test('heads count what is below them', () => {
  const list = grouped(sorted(rows, 'part'));
  assert.deepEqual(list.map(r => r.head ?? r.id), ['fed1/app1', 'i-b', 'i-a', 'fed1/db1', 'i-c']);
  assert.deepEqual(ranked(list[0].counts), [['wedged', 1], ['idle', 1]]);
  assert.deepEqual(counted(rows), [['wedged', 1], ['late', 1], ['idle', 1]]);
});

test('bars follow the steps, and an age hides the state below it', () => {
  const steps = [[100, 'working', 'a', 'idle'], [200, 'late', 'last beat', 'present'], [300, 'missing', '', 'late'], [400, 'present', '', 'missing'], [450, 'wedged', 'exit 3', 'working']];
  const list = bars(steps, [], 50, 500, 500).map(b => [b.from, b.to, b.word]);
  assert.deepEqual(list, [[50, 100, 'idle'], [100, 200, 'working'], [200, 300, 'late'], [300, 400, 'missing'], [400, 450, 'working'], [450, 500, 'wedged']]);
  assert.deepEqual(bars(steps, [], 350, 420, 500).map(b => [b.from, b.to, b.word]), [[350, 400, 'missing'], [400, 420, 'working']]);
  assert.deepEqual(bars(undefined, [], 0, 100, 100), []);
  const twice = bars([[10, 'idle', '', ''], [20, 'idle', '', 'idle']], [], 0, 30, 30);
  assert.deepEqual(twice, [{ from: 10, to: 30, word: 'idle', reason: '' }]);
});

test('the boot is in the bars', () => {
  const log = births('setup:20151008-174611;initdone:20151008-174633;junk');
  assert.deepEqual(log.map(s => s[1]), ['setup', 'initdone']);
  assert.equal(utc(log[1][0]), '2015-10-08 17:46:33 UTC');
  const list = bars([], log, log[0][0] - 10e3, log[1][0] + 60e3, log[1][0] + 60e3);
  assert.deepEqual(list.map(b => [b.word, b.to - b.from]), [['setup', 22e3], ['initdone', 60e3]]);
  assert.deepEqual(births(undefined), []);
});

test('the compact history becomes steps by node', () => {
  const all = timelines({ ids: ['i-a', 'i-b'], words: ['', 'idle', 'working'], texts: ['', 'why'], list: [[20, 0, 1, 2, 1, 0], [10, 0, 0, 1, 0, 0], [5, 7, 0, 1, 0, 0]] });
  assert.deepEqual(all.get('i-a'), [[10000, 'idle', '', ''], [20000, 'working', 'why', 'idle']]);
  assert.deepEqual(all.get('i-b'), []);
  assert.equal(timelines({}).size, 0);
});

test('the lines of a window are at whole units', () => {
  for (const [span, step] of Object.values(WINDOWS)) {
    const list = lines(1e12, 1e12 + span, step);
    assert.ok(list.length >= 5 && list.length <= 8, String(list.length));
    assert.ok(list.every(t => t >= 1e12 && t < 1e12 + span));
  }
});

test('each tile is found where it is drawn', () => {
  const many = Array.from({ length: 500 }, (_, i) => ({ part: 'p' + Math.floor(i / 70) }));
  const map = tilemap(many, 360, 24);
  for (let i = 0; i < many.length; i++) {
    const { x, y } = map.at(i);
    assert.ok(x >= 0 && x + map.size <= 360 && y + map.size <= map.height);
    assert.equal(map.find(x + 2, y + 2), i);
  }
  assert.equal(map.find(2, 2), -1); // a head
  assert.equal(map.find(9999, 30), -1);
  assert.ok(tileSize(10000) < tileSize(300));
});

test('a link says what is shown, and nothing that is the default', () => {
  assert.equal(formatted(parsed('')), '#');
  const s = { view: 'timeline', q: 'app1 & <b>#', sort: '-since', window: 'week', node: 'i-é' };
  assert.deepEqual(parsed(formatted(s)), s);
  assert.deepEqual(parsed('#view=constructor&sort=__proto__&window=x'), parsed(''));
});

test('changes are taken in, and tell what stepped', () => {
  take({ time: '2026-01-01T00:00:00Z', nodes: [node('a'), node('b')], notes: ['n'] }, true);
  assert.equal(model.rows.size, 2);
  assert.ok(Math.abs(now() - when('2026-01-01T00:00:00Z')) < 1000); // whatever the clock here says
  const stepped = take({ time: '2026-01-01T00:00:01Z', nodes: [node('a', { state: 'wedged' }), node('b')], gone: [] }, false);
  assert.deepEqual(stepped.map(([row, from]) => [row.id, row.word, from]), [['a', 'wedged', 'idle']]);
  assert.deepEqual(model.top.notes, ['n']);
  take({ time: '2026-01-01T00:00:02Z', gone: ['b'], error: { text: 'x' } }, false);
  assert.deepEqual([...model.rows.keys()], ['a']);
  take({ time: '2026-01-01T00:00:03Z', nodes: [] }, true);
  assert.equal(model.rows.size, 0);
  assert.equal(model.top.error, undefined);
});

test('deployed beside pulled', () => {
  assert.equal(deployed({ name: 'ops', version: 'a'.repeat(40) }), 'ops@aaaaaaa');
  assert.equal(deployed({ name: 'ops', version: 'a'.repeat(40), due: ['x'], worked: { x: 'b'.repeat(40) } }), 'ops@bbbbbbb → aaaaaaa');
  assert.equal(deployed({ name: 'ops', version: 'a'.repeat(40), due: ['x'] }), 'ops@nothing → aaaaaaa');
  const many = rowOf(node('a', { repos: Array.from({ length: 1000 }, (_, i) => ({ name: 'r' + i, version: 'a'.repeat(40) })) }));
  assert.ok(many.versions.endsWith('and 980 more'));
});
