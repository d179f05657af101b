// The largest tiles that fit.

const ASPECT = 16 / 9;

/**
 * Return the number of columns with which `count` tiles of 16:9 are widest, and their width.
 * @param {number} count
 * @param {number} widthPx available
 * @param {number} heightPx available
 * @param {{ gapPx: number, namePx: number }} sizes the gap between tiles, and the height of a name below each
 */
export function arrange(count, widthPx, heightPx, { gapPx, namePx }) {
  let best = { columns: 1, tilePx: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (widthPx - gapPx * (columns - 1)) / columns;
    const byHeight = ((heightPx - gapPx * (rows - 1)) / rows - namePx) * ASPECT;
    const tilePx = Math.floor(Math.min(byWidth, byHeight));
    if (tilePx > best.tilePx) best = { columns, tilePx };
  }
  return best;
}
