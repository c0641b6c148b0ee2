// Turns one piece of the page into another by changing only what differs, so that focus, scroll, selection, open
// details and what was typed stay as they are.

/** Make `current` like `wanted`; both are elements of the same kind. */
export function morph(current, wanted) {
  copyAttributes(current, wanted);
  if (current.matches("select, input, textarea")) return; // what a person chose there is theirs
  copyChildren(current, wanted);
}

function copyAttributes(current, wanted) {
  for (const { name } of [...current.attributes]) {
    if (!wanted.hasAttribute(name) && !isPersonal(current, name)) current.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (current.getAttribute(name) !== value && !isPersonal(current, name)) current.setAttribute(name, value);
  }
}

function isPersonal(element, attribute) {
  return element.localName === "details" && attribute === "open";
}

function copyChildren(current, wanted) {
  let place = current.firstChild;
  for (const child of [...wanted.childNodes]) {
    const match = find(place, child);
    if (!match) {
      current.insertBefore(child, place);
      continue;
    }
    while (place !== match) place = drop(place);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, child);
    else if (match.data !== child.data) match.data = child.data;
    place = match.nextSibling;
  }
  while (place) place = drop(place);
}

/** The node from `place` on that `child` is the next version of: the same element, or else the same kind here. */
function find(place, child) {
  if (child.nodeType === Node.ELEMENT_NODE) {
    for (let node = place; node; node = node.nextSibling) if (isSame(node, child)) return node;
  }
  return place && place.nodeName === child.nodeName && !place.id && !child.id ? place : null;
}

function isSame(node, child) {
  if (node.nodeName !== child.nodeName) return false;
  return node.id || child.id ? node.id === child.id : node.getAttribute("class") === child.getAttribute("class");
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
