// Finds elements of our pages, with their types.

/**
 * @template {Element} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function element(parent, selector, type) {
  const found = parent.querySelector(selector);
  if (!(found instanceof type)) throw new TypeError(`${selector} is missing`);
  return found;
}

/**
 * @param {HTMLTemplateElement} template whose only element is a list item
 * @returns {HTMLLIElement}
 */
export function listItem(template) {
  return element(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), "li", HTMLLIElement);
}

/**
 * Replace the items of a list. All texts may come from the network: they are only ever set as text.
 *
 * @param {Element} list
 * @param {string[]} texts
 */
export function showTexts(list, texts) {
  list.replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

/**
 * @param {string | undefined} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return (text ?? "").replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Show the ground instead of the browser's sign for an image that cannot be loaded.
 * @param {HTMLImageElement} image
 */
export function hideMissing(image) {
  const hide = () => (image.style.visibility = "hidden");
  image.addEventListener("error", hide);
  image.addEventListener("load", () => (image.style.visibility = "")); // another address
  if (image.complete && !image.naturalWidth) hide(); // before this script
}

/**
 * Submit with a button that has `data-confirm` only after the user has confirmed it.
 * @param {HTMLFormElement} form
 */
export function askBeforeSubmit(form) {
  form.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
}
