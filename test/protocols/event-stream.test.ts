import { describe, expect, it } from 'vitest'
import { emptyComment, eventText } from '../../src/protocols/event-stream.js'

describe('a server-sent event', () => {
  it('is id, event and data, each in a line, and an empty line (spec/sse.md §2)', () => {
    expect(eventText(7, 'message', '{"a":1}')).toBe('id: 7\nevent: message\ndata: {"a":1}\n\n')
  })

  it('has a field for each line of its data', () => {
    expect(eventText(1, 'x', 'one\n\ntwo')).toBe('id: 1\nevent: x\ndata: one\ndata: \ndata: two\n\n')
  })

  it('is none where there is a comment only (S-14)', () => {
    expect(emptyComment).toBe(':\n\n')
  })
})
