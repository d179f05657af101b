// Arranges the cameras of the wall: by dragging, and by buttons for the keyboard. The form sends them in the order of the page.

import { askBeforeSubmit, element, fill, hideMissing } from "./dom.js";

const form = element(document, "#layout", HTMLFormElement);
const list = element(form, ".layout", HTMLOListElement);
const status = element(form, "[role=status]", HTMLElement);
let dragged = /** @type {HTMLElement | null} */ (null);

list.querySelectorAll("img").forEach(hideMissing);
askBeforeSubmit(form);

/** @param {HTMLElement} item */
function announce(item) {
  const position = [...list.children].indexOf(item) + 1;
  status.textContent = fill(status.dataset.moved, { name: item.dataset.name ?? "", position, count: list.children.length });
}

/** @param {EventTarget | null} target */
function itemAt(target) {
  return target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest(".layout > li")) : null;
}

/** @param {EventTarget | null} target */
function isStill(target) {
  return target instanceof Element && target.closest(".still") !== null;
}

list.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest("[data-move]");
  const item = itemAt(button);
  if (!(button instanceof HTMLButtonElement) || !item) return;
  if (button.dataset.move === "-1") item.previousElementSibling?.before(item);
  else item.nextElementSibling?.after(item);
  button.focus(); // Moving it takes the focus away.
  announce(item);
});

list.addEventListener("pointerdown", (event) => {
  // A finger scrolls the page. It uses the buttons.
  if (event.pointerType === "touch" || event.button !== 0 || !isStill(event.target)) return;
  dragged = itemAt(event.target);
  dragged?.classList.add("dragged");
  event.preventDefault();
});
// Of the window, because a pointer that an element has captured is released when the element moves in the document.
addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const over = itemAt(document.elementFromPoint(event.clientX, event.clientY));
  if (!over || over === dragged) return;
  const { left, width } = over.getBoundingClientRect();
  const isBehind = Boolean(dragged.compareDocumentPosition(over) & Node.DOCUMENT_POSITION_FOLLOWING);
  const hasPassed = isBehind ? event.clientX > left + width / 3 : event.clientX < left + (2 * width) / 3;
  if (hasPassed) over[isBehind ? "after" : "before"](dragged);
});
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, () => {
    if (dragged) announce(dragged);
    dragged?.classList.remove("dragged");
    dragged = null;
  });
}
