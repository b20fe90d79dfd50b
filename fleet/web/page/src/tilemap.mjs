// Where the tiles are: groups of squares that fill a width.

// tilemap lays out rows that are in the order of their parts: {size, height, heads: [{y, part, n}], at(i), find(x, y)}.
export function tilemap(rows, width, size) {
  const gap = size > 16 ? 3 : 2, step = size + gap, head = 24;
  const columns = Math.max(1, Math.floor((width + gap) / step));
  const heads = [];
  let y = 0;
  for (let i = 0; i < rows.length;) {
    let n = 1;
    while (i + n < rows.length && rows[i + n].part === rows[i].part) n++;
    heads.push({ y, part: rows[i].part, first: i, n });
    y += head + Math.ceil(n / columns) * step + 6;
    i += n;
  }
  const group = i => {
    let low = 0, high = heads.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (heads[middle].first <= i) low = middle;
      else high = middle - 1;
    }
    return heads[low];
  };
  return {
    size, columns, heads, height: y,
    at(i) {
      const g = group(i), k = i - g.first;
      return { x: (k % columns) * step, y: g.y + head + Math.floor(k / columns) * step };
    },
    find(x, y) {
      const column = Math.floor(x / step);
      if (column < 0 || column >= columns || x - column * step > size) return -1;
      for (const g of heads) {
        const line = Math.floor((y - g.y - head) / step), k = line * columns + column;
        if (line >= 0 && k < g.n && y - g.y - head - line * step <= size) return g.first + k;
      }
      return -1;
    },
  };
}

// tileSize is smaller where there are many.
export function tileSize(n) {
  return n > 3000 ? 14 : n > 800 ? 20 : 24;
}
