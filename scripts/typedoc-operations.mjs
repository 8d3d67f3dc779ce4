/*
 * A plugin of typedoc. The generated types of the REST operations (`Operations` of src/client) are made of paths, queries, bodies and
 * answers that have no words of their own: the operation above them has. They are not reported as undocumented.
 */
import { Converter, ReflectionKind } from 'typedoc'

/** Called by typedoc. */
export function load(app) {
  app.converter.on(Converter.EVENT_END, ({ project }) => {
    const parts = project
      .getReflectionsByKind(ReflectionKind.Property)
      .filter(part => !part.hasComment() && isWithinOperation(part))
    const known = app.options.getValue('intentionallyNotDocumented')
    const names = parts.map(part => part.getFriendlyFullName())
    app.options.setValue('intentionallyNotDocumented', [...new Set([...known, ...names])])
  })
}

function isWithinOperation({ parent }) {
  for (let above = parent; above?.parent !== undefined; above = above.parent) {
    if (above.parent.name === 'Operations') return true
  }
  return false
}
