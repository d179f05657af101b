// Sizes the cameras of the replay page so that all of them, with their names, are visible above the timeline.

import { arrange } from "./arrange.js";

const SIZES = { gapPx: 12, namePx: 34 };
const MARGIN_PX = 16; // between the last name and the timeline
const MIN_TILE_PX = 240; // below this width, the page scrolls instead

const list = /** @type {HTMLElement | null} */ (document.querySelector(".together"));
const controls = document.getElementById("playback-controls");
if (list && controls) {
  const apply = () => {
    const aboveControls = innerHeight - (list.getBoundingClientRect().top + scrollY) - controls.offsetHeight - MARGIN_PX;
    const { columns, tilePx } = arrange(list.children.length, list.clientWidth, aboveControls, SIZES);
    const fits = tilePx >= MIN_TILE_PX;
    const scrolled = Math.max(1, Math.floor(list.clientWidth / (2 * MIN_TILE_PX)));
    list.style.setProperty("--columns", String(fits ? columns : scrolled));
    list.style.setProperty("--tile", fits ? `${tilePx}px` : "1fr");
  };
  const observer = new ResizeObserver(apply);
  observer.observe(document.documentElement);
  observer.observe(controls);
}
