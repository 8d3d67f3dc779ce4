/*
 * Server-sent events, as the HTML standard has them.
 */

/**
 * The events of a stream until it ends; comments are passed over.
 * @typeParam Event what the document says of them: `id`, `event`, and `data` parsed
 */
export async function* eventsOf<Event>(stream: ReadableStream<Uint8Array>): AsyncGenerator<Event, void> {
  let fields: Record<string, string> = {}
  for await (const line of linesOf(stream)) {
    if (line === '') {
      const { id = '', event = 'message', data } = fields
      // The cast: the server sends what it documents.
      if (data !== undefined) yield { id, event, data: JSON.parse(data) } as Event
      fields = {}
      continue
    }
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
    if (name === 'data' && fields.data !== undefined) fields.data += `\n${value}`
    else if (name !== '') fields[name] = value
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  const reader = stream.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/)
      rest = lines.pop() ?? ''
      yield* lines
    }
  } finally {
    // Whoever stops reading closes the connection.
    await reader.cancel().catch(() => undefined)
  }
}
