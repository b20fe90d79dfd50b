// What both canvases share: colours from the style, a canvas as large as what is in sight, a text beside the pointer.
import { $, put } from './dom.mjs';
import { STATES, look } from './states.mjs';

const colours = { of: null, stamps: new Map() };

// colour is {fill, ink} of a word, as the style has them now.
export function colour(word) {
  if (!colours.of) {
    const style = getComputedStyle(document.documentElement), get = name => style.getPropertyValue(name).trim();
    colours.of = { text: get('--text'), dim: get('--dim'), line: get('--line'), back: get('--card'), mark: get('--mark') };
    for (const [word] of STATES) colours.of[word] = { fill: get('--' + word), ink: get('--' + word + '-ink') };
  }
  return colours.of[word] || colours.of[look(word).word];
}

// forget reads the colours again: the system turned dark or light.
export function forget() {
  colours.of = null;
  colours.stamps.clear();
}

// stamped is a tile of a word as a picture: to draw a thousand letters takes ten times as long.
export function stamped(word, size, font) {
  const scale = devicePixelRatio || 1, key = word + ' ' + size + ' ' + scale;
  let canvas = colours.stamps.get(key);
  if (canvas) return canvas;
  canvas = document.createElement('canvas');
  const g = sized(canvas, size, size), { fill, ink } = colour(word);
  g.fillStyle = fill;
  g.beginPath();
  g.roundRect(0, 0, size, size, 4);
  g.fill();
  g.fillStyle = ink;
  g.font = '600 ' + Math.round(size * 0.55) + 'px ' + font;
  g.textAlign = 'center';
  g.textBaseline = 'middle';
  g.fillText(look(word).letter, size / 2, size / 2 + 1);
  colours.stamps.set(key, canvas);
  return canvas;
}

// sized gives a canvas a size in pixels of the screen, and returns what to draw with.
export function sized(canvas, width, height) {
  const scale = devicePixelRatio || 1, w = Math.round(width * scale), h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = width + 'px';
    canvas.style.height = height + 'px';
  }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  return g;
}

// tip shows a text at a place of the screen; '' hides it. Screen readers hear it when the keyboard is used.
export function tip(text, x = 0, y = 0, spoken = false) {
  const el = $('tip');
  el.hidden = !text;
  if (!text) return;
  put(el, text);
  const box = el.getBoundingClientRect();
  el.style.left = Math.max(4, Math.min(x + 12, document.documentElement.clientWidth - box.width - 4)) + 'px';
  el.style.top = (y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18) + 'px';
  if (spoken) put($('said'), text);
}
