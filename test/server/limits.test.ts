import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { answerTo, clientOf, PASSWORD, session, sharedServer, startedServer, streamHeader } from '../support/server.js'

/** An element of exactly so many bytes. */
const sized = (bytes: number, start: string, end: string, filler = 'x') => {
  const room = bytes - Buffer.byteLength(start + end)
  const text = filler.repeat(Math.floor(room / Buffer.byteLength(filler)))
  return `${start}${text}${'x'.repeat(room - Buffer.byteLength(text))}${end}`
}
const message = (bytes: number, to: string, filler?: string) =>
  sized(bytes, `<message to='${to}'><body>`, '</body></message>', filler)
const nested = (levels: number, name = 'n') => `${`<${name}>`.repeat(levels)}${`</${name}>`.repeat(levels)}`
const attributes = (count: number) => Array.from({ length: count }, (_, i) => ` a${i}='${i}'`).join('')

async function violates(client: Client, text?: string): Promise<void> {
  const error = await client.streamError('policy-violation')
  if (text !== undefined) expect(error.getChildText('text')).toBe(text)
  expect(await client.closed()).toEqual({ streamEnded: true })
}
const tooBig = 'child element too big'

/** As TCP may cut it: byte by byte where it is short, in odd pieces where it is long. */
async function drip(client: Client, text: string, piece = 1): Promise<void> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length && !client.isClosed; at += piece)
    await client.sendBytes(bytes.subarray(at, at + piece))
}

describe('max_stanza_size (§1.9)', () => {
  const limit = 600
  const server = sharedServer({ users: ['romeo', 'juliet'], listener: { max_stanza_size: limit } })

  const pair = async () => {
    const juliet = await session(server(), 'juliet', { resource: 'j', priority: 1 })
    const romeo = await session(server(), 'romeo')
    return { juliet, romeo }
  }

  it.each([
    ['whole', (client: Client, text: string) => client.send(text)],
    ['dripped', (client: Client, text: string) => drip(client, text)],
    ['in pieces of 7 bytes', (client: Client, text: string) => drip(client, text, 7)],
  ])('lets a stanza of exactly that many bytes through and ends the stream at one more, %s', async (_, send) => {
    const { juliet, romeo } = await pair()
    const stanza = message(limit, juliet.jid!)
    expect(Buffer.byteLength(stanza)).toBe(limit)
    await send(romeo, stanza)
    await juliet.receives(`<message from='${romeo.jid}'/>`)
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    await send(romeo, message(limit + 1, juliet.jid!))
    await violates(romeo, tooBig)
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    await juliet.receivesNothing('<message/>')
  })

  it('counts bytes, not characters', async () => {
    const { juliet, romeo } = await pair()
    await romeo.send(message(limit, juliet.jid!, 'ä'))
    await juliet.receives('<message/>')
    await romeo.send(message(limit, juliet.jid!, '\u{1f600}'))
    await juliet.receives('<message/>')
    await romeo.send(message(limit + 1, juliet.jid!, 'ä'))
    await violates(romeo, tooBig)
  })

  it('is each stanza by itself, and white space between them is free (§4 trap 3)', async () => {
    const { juliet, romeo } = await pair()
    await romeo.send(
      `${' '.repeat(2 * limit)}${message(limit, juliet.jid!)}${'\n'.repeat(limit)}${message(limit, juliet.jid!)}`,
    )
    await juliet.receives('<message/>')
    await juliet.receives('<message/>')
  })

  it('holds for what is not finished: it ends the stream at the byte that is too many', async () => {
    const { juliet, romeo } = await pair()
    const whole = Buffer.from(message(10 * limit, juliet.jid!))
    await romeo.sendBytes(whole.subarray(0, limit))
    await romeo.send('')
    await session(server(), 'juliet', { resource: 'another' }).then(another => another.settled())
    expect(romeo.isClosed).toBe(false)
    await romeo.sendBytes(whole.subarray(limit, limit + 1))
    await violates(romeo, tooBig)
  })

  it('holds before the login too', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.send(sized(limit, "<x xmlns='urn:x'>", '</x>'))
    await client.send(sized(limit + 1, "<x xmlns='urn:x'>", '</x>'))
    await violates(client, tooBig)
  })

  it('tells it in the language of the stream (§1.9)', async () => {
    const client = await clientOf(server())
    await client.open({ lang: 'de' })
    await client.send(sized(limit + 1, '<x>', '</x>'))
    expect((await client.streamError('policy-violation')).getChild('text')?.attrs['xml:lang']).toBe('de')
  })
})

describe('the ceilings that always hold (§1.9)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })
  const beforeLogin = async () => {
    const client = await clientOf(server())
    await client.open()
    return client
  }

  it('10 000 bytes per element before the login: at it passes, one over ends the stream, whole and dripped', async () => {
    const client = await beforeLogin()
    await client.send(sized(10_000, "<iq type='get' id='a'><query xmlns='jabber:iq:register'>", '</query></iq>'))
    await client.receives('<iq id="a"/>')
    await client.send(sized(10_001, '<message>', '</message>'))
    await violates(client, tooBig)
    const dripping = await beforeLogin()
    await drip(dripping, sized(10_001, '<message>', '</message>'), 99)
    await violates(dripping, tooBig)
  })

  it('100 elements before the session: at it passes, one over ends the stream (DESIGN §10)', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.send('<presence/>'.repeat(99))
    await client.send("<iq type='get' id='last'><query xmlns='urn:x'/></iq>")
    await client.receives("<iq id='last' type='error'/>")
    await client.send('<presence/>')
    await violates(client, 'too much before login')
  })

  it('10 000 bytes no more once the client has logged in, bound or not', async () => {
    const client = await beforeLogin()
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.open()
    await client.send(sized(10_001, '<message>', '</message>'))
    await client.bind()
  })

  it('16 KiB for the stream header, answered with ours first; an XML declaration likewise', async () => {
    const header = (bytes: number) => sized(bytes, streamHeader().slice(21, -1), '>', ' ')
    const at = await clientOf(server())
    await at.send(header(16_384))
    await at.receives('<stream:features/>')
    for (const start of [header(16_385), "<stream:stream to='".padEnd(16_385, 'x'), '<?xml '.padEnd(16_385, ' ')]) {
      const answer = await answerTo(server().port, start)
      expect(answer).toMatch(
        /^<\?xml version='1.0'\?><stream:stream .* version='1.0' xml:lang='en'><stream:error><policy-violation /,
      )
      expect(answer).toMatch(/<\/stream:error><\/stream:stream>$/)
    }
  })

  it('8 000 000 bytes per stanza after the login: at it passes, one over ends the stream', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(message(8_000_000, juliet.jid!))
    const received = await juliet.receives('<message/>')
    expect(received.getChildText('body')?.length).toBeGreaterThan(7_999_900)
    await romeo.send(message(8_000_001, juliet.jid!))
    await violates(romeo, tooBig)
    await juliet.receivesNothing('<message/>')
  })

  it('is not lifted by a larger max_stanza_size', async () => {
    const lenient = await startedServer({ users: ['romeo'], listener: { max_stanza_size: 20_000_000 } })
    const large = await session(lenient, 'romeo')
    await drip(large, message(8_000_001, 'juliet@localhost'), 1_000_000)
    await violates(large, tooBig)
  })

  it.each(['before', 'after'])(
    '256 levels of nesting %s the login: at it passes, one over ends the stream',
    async when => {
      const client = when === 'before' ? await beforeLogin() : await session(server(), 'romeo')
      await client.send(nested(256))
      await client.send("<iq type='get' id='i'><query xmlns='jabber:iq:register'/></iq>")
      await client.receives('<iq id="i"/>')
      await client.send(nested(257))
      await violates(client)
      const dripping = when === 'before' ? await beforeLogin() : await session(server(), 'romeo')
      await drip(dripping, nested(257))
      await violates(dripping)
    },
  )

  it.each(['before', 'after'])('64 attributes per element %s the login, also inside', async when => {
    const client = when === 'before' ? await beforeLogin() : await session(server(), 'romeo')
    await client.send(`<x xmlns='urn:x'${attributes(63)}><y${attributes(64)}/></x>`)
    await client.send("<iq type='get' id='i'><query xmlns='jabber:iq:register'/></iq>")
    await client.receives('<iq id="i"/>')
    await client.send(`<x xmlns='urn:x'><y${attributes(65)}/></x>`)
    await violates(client)
    const dripping = when === 'before' ? await beforeLogin() : await session(server(), 'romeo')
    await drip(dripping, `<x${attributes(65)}/>`)
    await violates(dripping)
  })
})
