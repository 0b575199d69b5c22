// Where the cells of the grid lie. No DOM here.

/** Edges of a cell with its gap, the largest first. */
const SIZES = [30, 24, 20, 16, 12, 10, 8];
/** Beyond this many nodes cells shrink further: a canvas cannot be of any height. */
const CROWD = 20_000;
const CROWD_SIZE = 4;

/**
 * The largest cells with which the grid is not higher than it should be.
 * @param {number} count how many cells
 * @param {number} width of the room, in CSS pixels
 * @param {number} height that it should not pass
 * @returns {{size: number, gap: number, columns: number, rows: number, width: number, height: number}}
 */
export function layoutOf(count, width, height) {
  const sizes = count > CROWD ? [CROWD_SIZE] : SIZES;
  const fits = (size) => Math.ceil(count / columnsOf(size, width)) * size <= height;
  const size = sizes.find(fits) ?? sizes[sizes.length - 1];
  const columns = columnsOf(size, width);
  const rows = Math.max(1, Math.ceil(count / columns));
  return { size, gap: size >= 16 ? 3 : size > CROWD_SIZE ? 2 : 0, columns, rows, width: columns * size, height: rows * size };
}

function columnsOf(size, width) {
  return Math.max(1, Math.floor(width / size));
}

/**
 * Which cell lies at a point, or -1.
 * @param {{size: number, columns: number}} layout
 * @param {number} count
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
export function cellAt(layout, count, x, y) {
  const column = Math.floor(x / layout.size);
  const row = Math.floor(y / layout.size);
  if (column < 0 || column >= layout.columns || row < 0) return -1;
  const cell = row * layout.columns + column;
  return cell < count ? cell : -1;
}

/**
 * Where a key leads from a cell.
 * @param {{columns: number}} layout
 * @param {number} count
 * @param {number} cell
 * @param {string} key as keyboard events name it
 * @param {number} page how many rows are seen at once
 * @returns {number|null} null for keys that do not move
 */
export function moved(layout, count, cell, key, page) {
  const last = count - 1;
  const leap = layout.columns * Math.max(1, page);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.columns, ArrowDown: layout.columns, PageUp: -leap, PageDown: leap }[key];
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (step === undefined) return null;
  const to = cell + step;
  if (to >= 0 && to <= last) return to;
  // A row that is not there: stay, rather than jump to another column; the last row may be short.
  if (key === "PageUp") return cell % layout.columns;
  if (key === "PageDown") return last;
  return key === "ArrowDown" && Math.floor(cell / layout.columns) < Math.floor(last / layout.columns) ? last : cell;
}
