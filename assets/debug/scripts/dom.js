/*
 * Elements without markup in strings: what the server tells is text, whatever is in it.
 */

/**
 * An element. `attributes`: a string or number is set as it stands, `true` as an empty one, `false` and undefined not at all;
 * `on` holds listeners by event. Children that are undefined are left out.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  setAll(made, attributes)
  made.append(...children.flat().filter(child => child !== undefined))
  return made
}

const svgNamespace = 'http://www.w3.org/2000/svg'

/** The same, of SVG. */
export function svgElement(name, attributes = {}) {
  const made = document.createElementNS(svgNamespace, name)
  setAll(made, attributes)
  return made
}

function setAll(made, { on = {}, ...attributes }) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value)
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener)
}

/** Writes only what differs: an attribute that is written makes a screen reader speak again. */
export function setAttribute(made, name, value) {
  if (value === undefined || value === false) {
    if (made.hasAttribute(name)) made.removeAttribute(name)
    return
  }
  const text = value === true ? '' : String(value)
  if (made.getAttribute(name) !== text) made.setAttribute(name, text)
}

/** Writes the text only when it differs. */
export function setText(made, text) {
  if (made.textContent !== text) made.textContent = text
}

/** The element of the page that has the id. */
export const byId = id => document.getElementById(id)

/** A labelled field of a form: the label stands before the control. */
export function field(label, control) {
  control.id ||= `field-${fields++}`
  return element('div', { class: 'field' }, element('label', { for: control.id }, label), control)
}
let fields = 0

/** A select with the given values; each is a value, or [value, text]. */
export function choice(name, values, chosen) {
  const options = values.map(value => {
    const [own, text] = Array.isArray(value) ? value : [value, value]
    return element('option', { value: own, selected: own === chosen }, text)
  })
  return element('select', { name }, ...options)
}
