// What both canvases share: colours from the style, a canvas as large as what is in sight, a text beside the pointer.
import { $, put } from './dom.mjs';
import { STATES, look } from './states.mjs';

const colours = { of: null };

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
