// Buttons that copy a field: `data-copy` is the id of the field; the nearest `data-copied` says that it was done.

const SHOWN_MS = 1500;

/** @param {HTMLButtonElement} button */
export async function copy(button) {
  const input = /** @type {HTMLInputElement} */ (document.getElementById(button.dataset.copy ?? ""));
  input.focus();
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
  } catch {
    document.execCommand("copy"); // plain http has no clipboard API
  }
  const label = button.textContent;
  const around = /** @type {HTMLElement | null} */ (button.closest("[data-copied]"));
  button.textContent = around?.dataset.copied ?? label;
  setTimeout(() => (button.textContent = label), SHOWN_MS);
}

/** @type {NodeListOf<HTMLButtonElement>} */
const buttons = document.querySelectorAll("button[data-copy]:not(#sign)");
for (const button of buttons) button.addEventListener("click", () => copy(button));
