// Making and changing elements. All text goes through text nodes: nothing here reads markup.

// h makes an element with attributes, listeners (onclick) and children.
export function h(tag, props, ...kids) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) el.setAttribute(name, value === true ? '' : value);
  }
  el.append(...kids.flat().filter(k => k != null && k !== false));
  return el;
}

export const $ = name => document.getElementById(name);

// put changes a text only when it is another one.
export function put(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

// attr changes an attribute only when it is another one; '' takes it away.
export function attr(el, name, value) {
  if (!value) el.removeAttribute(name);
  else if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}

// keyed makes the children of an element those of a list: an element that stays is changed, not made again.
export function keyed(parent, items, key, make, update) {
  const have = parent.have || (parent.have = new Map());
  const next = new Map();
  for (const item of items) next.set(key(item), item);
  for (const [k, el] of have) {
    if (!next.has(k)) {
      el.remove();
      have.delete(k);
    }
  }
  let at = parent.firstChild;
  for (const [k, item] of next) {
    let el = have.get(k);
    if (!el) have.set(k, el = make(item));
    if (el === at) at = at.nextSibling;
    else parent.insertBefore(el, at);
    update(el, item);
  }
}

// badge is the letter of a word in its colour, and the word.
export function badge() {
  return h('span', { class: 'badge' }, h('b', { 'aria-hidden': 'true' }), h('span', {}));
}

// stamp is a <time>, which shows UTC on hover.
export function stamp(el, t, text, utc) {
  put(el, text);
  attr(el, 'title', utc);
  attr(el, 'datetime', Number.isFinite(t) ? new Date(t).toISOString() : '');
}

// copies puts a text on the clipboard, also where the page is not of a secure origin.
export async function copies(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'sr', 'aria-hidden': 'true', tabindex: '-1' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
