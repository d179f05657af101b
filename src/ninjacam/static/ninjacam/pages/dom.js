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
