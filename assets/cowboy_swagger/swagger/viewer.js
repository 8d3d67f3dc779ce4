// Shows the Swagger 2.0 document that lies beside this page, or the one that `?url=` names on this origin.

const api = document.getElementById('api')

/** An element with text or elements inside. */
function make(name, inside, className = '') {
  const element = document.createElement(name)
  element.className = className
  element.append(...(Array.isArray(inside) ? inside : [inside]))
  return element
}

function addressOfDocument() {
  const beside = new URL('swagger.json', location.href)
  const wanted = new URL(new URLSearchParams(location.search).get('url') ?? beside, location.href)
  return wanted.origin === location.origin ? wanted : beside
}

const table = (heads, rows) =>
  make('table', [
    make(
      'tr',
      heads.map(head => make('th', head)),
    ),
    ...rows.map(cells =>
      make(
        'tr',
        cells.map(cell => make('td', cell ?? '')),
      ),
    ),
  ])

function operation(path, method, { description = '', parameters = [], responses = {} }) {
  const rows = parameters.map(({ name, in: where, required, description: about }) => [
    name,
    where,
    required ? 'required' : '',
    about,
  ])
  return make('article', [
    make('h3', [make('span', method, 'method'), make('code', path)]),
    make('p', description),
    ...(rows.length > 0 ? [table(['Parameter', 'In', '', 'Meaning'], rows)] : []),
    table(
      ['Status', 'Meaning'],
      Object.entries(responses).map(([status, { description: about }]) => [status, about]),
    ),
  ])
}

function show({ info = {}, paths = {} }) {
  const sections = new Map()
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, details] of Object.entries(methods)) {
      const tag = details.tags?.[0] ?? 'Other'
      sections.set(tag, [...(sections.get(tag) ?? []), operation(path, method, details)])
    }
  }
  document.title = info.title ?? document.title
  api.replaceChildren(
    make('h1', `${info.title ?? 'REST API'} ${info.version ?? ''}`),
    make('p', info.description ?? ''),
    ...[...sections].flatMap(([tag, operations]) => [make('h2', tag), ...operations]),
  )
}

try {
  const reply = await fetch(addressOfDocument())
  if (!reply.ok) throw new Error(`the server answers ${reply.status}`)
  show(await reply.json())
} catch (error) {
  api.replaceChildren(make('p', `The description of the API cannot be shown: ${error.message}`))
}
