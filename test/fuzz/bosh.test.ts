import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BadBody, readBody } from '../../src/protocols/bosh-body.js'
import { creation, http, httpbind, httpPort } from '../support/bosh.js'
import { ManualClock } from '../support/clock.js'
import { actorsOfKind, drained, eventually, startedServer } from '../support/server.js'

/* BOSH from those who do not keep to it. spec/bosh.md §12, §14 */

describe('the body of a request', () => {
  const whole = Buffer.from(
    `<?xml version='1.0'?><body rid='1' sid='x' to='localhost' hold='1' wait='5' xmlns='${httpbind}' xmlns:q='urn:q'>` +
      `<message xmlns='jabber:client' to='a@b'><q:x>&amp;</q:x><![CDATA[<y>]]></message></body>`,
  )
  const readable = (bytes: Buffer) => {
    try {
      return readBody(bytes).content.length <= 2 * bytes.length + 100
    } catch (error) {
      return error instanceof BadBody
    }
  }

  it('B-9: is read or refused, whatever its bytes are', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), bytes => readable(Buffer.from(bytes))))
  })

  it('B-9: is read or refused, wherever it is cut and whatever is changed in it', () => {
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.integer({ min: 0, max: 255 }) })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), fc.nat(whole.length), (changes, end) => {
        const bytes = Buffer.from(whole)
        for (const { at, byte } of changes) bytes[at] = byte
        return readable(bytes.subarray(0, end)) && readable(bytes)
      }),
    )
  })
})

describe('requests over real connections', () => {
  it('in any order, repeated, several at once and given up, leave nothing behind', async () => {
    const clock = new ManualClock()
    const server = await startedServer({
      modules: { mod_bosh: { inactivity: 5 } },
      clock,
      config: {
        listen: {
          http: [
            {
              port: 0,
              ip_address: '127.0.0.1',
              transport: { max_connections: 'infinity' },
              handlers: { mod_bosh: [{ host: '_', path: '/http-bind' }] },
            },
          ],
        },
      },
    })
    const port = httpPort(server)
    const ticking = setInterval(() => clock.advance(10), 5)
    const step = fc.record({
      offset: fc.integer({ min: -3, max: 3 }),
      more: fc.constantFrom(
        '',
        '',
        "pause='2'",
        "type='terminate'",
        "ack='1'",
        "xmlns:x='urn:xmpp:xbosh' x:restart='1'",
      ),
      isGivenUp: fc.boolean(),
    })
    const statuses = new Set<number>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
        const { body } = await http(port, creation(100, "wait='1' ack='1'"))
        let rid = 100
        const all = steps.map(({ offset, more, isGivenUp }) => {
          if (offset === 1) rid++
          const sent = http(port, `<body rid='${rid + offset}' sid='${body.attrs.sid}' xmlns='${httpbind}' ${more}/>`)
          if (isGivenUp) setTimeout(() => sent.abort(), 1)
          return { sent, isGivenUp }
        })
        for (const { sent, isGivenUp } of all) {
          if (isGivenUp) continue
          await eventually(() => {
            clock.advance(100)
            return sent.isAnswered
          })
          statuses.add((await sent).status)
        }
      }),
      { numRuns: 40 },
    )
    clearInterval(ticking)
    expect([...statuses]).toEqual([200])
    await eventually(() => {
      clock.advance(1_000)
      return actorsOfKind(server, 'Connection').length === 0
    })
    await drained(server)
    expect((await http(port, undefined, { method: 'GET' })).status).toBe(200)
  })
})
