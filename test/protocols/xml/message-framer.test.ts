import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StreamError } from '../../../src/protocols/errors.js'
import { NS } from '../../../src/protocols/namespaces.js'
import { beginsComponentStream, MessageFramer } from '../../../src/protocols/xml/message-framer.js'

const open = `<open xmlns='${NS.framing}' to='localhost' version='1.0' xml:lang='de'/>`

/** What a framer makes of the messages: the kinds of the items, the names of the elements, the condition it ends with. */
function read(messages: readonly string[], framer = new MessageFramer({ element: 1_000 })): string[] {
  const found: string[] = []
  for (const message of messages) {
    framer.feed(Buffer.from(message))
    try {
      for (let item = framer.next(); item !== undefined; item = framer.next()) {
        found.push(item.kind === 'frame' ? item.name : item.kind)
      }
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      return [...found, `${framer.refusesSilently ? 'silent ' : ''}${error.condition}`]
    }
  }
  return found
}

describe('messages as items (RFC 7395)', () => {
  it.each([
    ['the life of a stream', [open, '<presence/>', `<close xmlns='${NS.framing}'/>`], ['header', 'presence', 'end']],
    ['another prefix for the framing', [`<f:open xmlns:f='${NS.framing}' to='x'></f:open>`], ['header']],
    ['several elements in a message', [open, ' <a xmlns="x"/> <b xmlns="x"/> '], ['header', 'a', 'b']],
    ['nothing but white space', [open, '  ', '', '<a xmlns="x"/>'], ['header', 'a']],
    [
      'an XML declaration in each message',
      [`<?xml version='1.0'?>${open}`, "<?xml version='1.0'?><presence/>"],
      ['header', 'presence'],
    ],
    ['an element in two messages', [open, '<presence>', '</presence>'], ['header', 'not-well-formed']],
    ['an element that is not whole', [open, '<presence'], ['header', 'not-well-formed']],
    ['an end tag of nothing', [open, '</presence>'], ['header', 'not-well-formed']],
    ['text', [open, 'x'], ['header', 'not-well-formed']],
    ['an element that is too long', [open, `<a>${'x'.repeat(1_000)}</a>`], ['header', 'policy-violation']],
    [
      'an <open/> that is too long',
      [`<open xmlns='${NS.framing}' to='${'x'.repeat(1_000)}'/>`],
      ['silent policy-violation'],
    ],
    ['the framing of older drafts', ["<stream:stream xmlns:stream='x'>"], ['silent not-well-formed']],
    ['the same later', [open, `<stream:stream xmlns:stream='${NS.stream}'/>`], ['header', 'unsupported-stanza-type']],
    ['an <open/> in a stream', [open, open], ['header', 'header']],
  ])('%s', (_what, messages, items) => {
    expect(read(messages)).toEqual(items)
  })

  it('says of <open/> what a stream header says', () => {
    const framer = new MessageFramer({ element: 1_000 })
    framer.feed(Buffer.from(open))
    const item = framer.next()
    expect(item).toMatchObject({
      kind: 'header',
      name: 'stream',
      ns: NS.stream,
      to: 'localhost',
      version: '1.0',
      lang: 'de',
    })
    framer.reset()
    framer.feed(Buffer.from(`<open xmlns='urn:other' to='localhost'/>`))
    expect(framer.next()).toMatchObject({ kind: 'header', ns: 'urn:other', version: undefined })
  })

  it('expects <open/> again after a reset, and forgets what was in the message', () => {
    const framer = new MessageFramer({ element: 1_000 })
    framer.feed(Buffer.from(`${open}<presence/><presence/>`))
    framer.next()
    framer.next()
    framer.reset()
    expect(framer.next()).toBeUndefined()
    expect(read([open, '<iq/>'], framer)).toEqual(['header', 'iq'])
  })

  it('gives items or a StreamError for any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), fc.boolean(), (messages, isOpen) => {
        const framer = new MessageFramer({ element: 50 })
        if (isOpen) read([open], framer)
        for (const message of messages) {
          framer.feed(Buffer.from(message))
          try {
            while (framer.next() !== undefined);
          } catch (error) {
            expect(error).toBeInstanceOf(StreamError)
            return
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('the beginning of a component', () => {
  it.each([
    [`<stream:stream xmlns='jabber:component:accept' xmlns:stream='${NS.stream}' to='x'>`, true],
    [`\ufeff<?xml version='1.0'?>\n<s:stream to="x" xmlns="jabber:component:accept">`, true],
    [`<stream:stream xmlns='jabber:client' xmlns:stream='${NS.stream}' to='x'>`, false],
    [`<streams xmlns='jabber:component:accept'>`, false],
    [`<message><body>'jabber:component:accept'</body></message>`, false],
    [open, false],
  ])('%s: %s', (text, isOne) => {
    expect(beginsComponentStream(Buffer.from(text))).toBe(isOne)
  })
})
