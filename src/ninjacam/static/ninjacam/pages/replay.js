// Sizes the cameras of the replay page so that all of them, with their names, are visible above the timeline.

const GAP_PX = 12;
const NAME_PX = 34;
const MARGIN_PX = 16; // between the last name and the timeline
const MIN_TILE_PX = 240; // below this width, the page scrolls instead

/**
 * Return the number of columns with which `count` tiles of 16:9 are widest, and their width.
 * @param {number} count
 * @param {number} widthPx available
 * @param {number} heightPx available
 */
export function arrange(count, widthPx, heightPx) {
  let best = { columns: 1, tilePx: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (widthPx - GAP_PX * (columns - 1)) / columns;
    const byHeight = (((heightPx - GAP_PX * (rows - 1)) / rows - NAME_PX) * 16) / 9;
    const tilePx = Math.floor(Math.min(byWidth, byHeight));
    if (tilePx > best.tilePx) best = { columns, tilePx };
  }
  return best.tilePx >= MIN_TILE_PX ? best : { columns: Math.max(1, Math.floor(widthPx / (2 * MIN_TILE_PX))), tilePx: 0 };
}

const list = /** @type {HTMLElement | null} */ (document.querySelector(".together"));
const controls = document.getElementById("playback-controls");
if (list && controls) {
  const apply = () => {
    const aboveControls = innerHeight - (list.getBoundingClientRect().top + scrollY) - controls.offsetHeight - MARGIN_PX;
    const { columns, tilePx } = arrange(list.children.length, list.clientWidth, aboveControls);
    list.style.setProperty("--columns", String(columns));
    list.style.setProperty("--tile", tilePx ? `${tilePx}px` : "1fr");
  };
  const observer = new ResizeObserver(apply);
  observer.observe(document.documentElement);
  observer.observe(controls);
}
