import { describe, expect, it } from 'vitest'
import { answerTo, clientOf, RawConnection, sharedServer, streamHeader, withoutIds } from '../support/server.js'

const opening = (version: string) =>
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='ID' " +
  `from='localhost'${version} xml:lang='en'>`
const failure = (condition: string, version = '') =>
  `${opening(version)}<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`
/** A text that says what is wrong may stand behind the condition. */
const withoutText = (text: string) => text.replace(/<text xml:lang='en' xmlns='urn:[a-z:-]+'>[a-z ]+<\/text>/, '')
const notWellFormed = failure('not-well-formed', " version='1.0'")

describe('the stream header of a client (§3.1.1)', () => {
  const server = sharedServer({ config: { general: { hosts: ['localhost', 'capulet.example'] } } })

  it('is answered with header and features, to the byte', async () => {
    const connection = await RawConnection.open(server().port)
    await connection.send(streamHeader("to='localhost' version='1.0' from='romeo@localhost' xml:lang='de'"))
    const text = await connection.until('</stream:features>')
    expect(withoutIds(text).slice(0, opening(" version='1.0'").length)).toBe(opening(" version='1.0'"))
    expect(text).not.toContain(' to=')
  })

  it('gets a stream id of 16 lower-case hex digits, another for each stream', async () => {
    const ids = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const connection = await RawConnection.open(server().port)
      await connection.send(streamHeader())
      const text = await connection.until('</stream:features>')
      ids.add(/ id='([0-9a-f]{16})'/.exec(text)?.[1] ?? `none in ${text}`)
    }
    expect(ids.size).toBe(3)
    expect([...ids].join()).not.toContain('none')
  })

  it.each([
    ['the bare word of the reference test (§4 trap 39)', 'malformed'],
    ['a request of HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['an element that is no stream', '<message/>'],
    ['the end of a stream', '</stream:stream>'],
    ['a header that is not well-formed', "<stream:stream to='localhost' to='localhost'>"],
    ['text before the header', `x${streamHeader()}`],
  ])('is answered with header and not-well-formed where there is %s', async (_, bytes) => {
    expect(withoutText(await answerTo(server().port, bytes))).toBe(notWellFormed)
  })

  it.each([
    ["xmlns:stream='urn:other'", '<stream:stream'],
    ["xmlns:s='urn:other'", '<s:stream'],
    ['', '<stream:stream'],
    ['', '<stream'],
  ])(
    'with another stream namespace (%s on %s) gets a header without version and invalid-namespace',
    async (ns, name) => {
      const header = `${name} to='localhost' version='1.0' xmlns='jabber:client' ${ns}>`
      expect(await answerTo(server().port, header)).toBe(failure('invalid-namespace'))
    },
  )

  it.each(["to='elsewhere.example'", '', "to=''", "to='romeo@localhost'", "to='localhost/x'", "to='@'", "to='a b'"])(
    'to no host of ours (%s) gets a header without version and host-unknown',
    async to => {
      expect(await answerTo(server().port, streamHeader(`${to} version='1.0'`))).toBe(failure('host-unknown'))
    },
  )

  it.each(['', "version=''", "version='1'", "version='1.1'", "version='2.0'", "version=' 1.0'"])(
    'of another version (%s) gets a header without version and unsupported-version',
    async version => {
      expect(await answerTo(server().port, streamHeader(`to='localhost' ${version}`))).toBe(
        failure('unsupported-version'),
      )
    },
  )

  it('is checked in the order of the table: namespace, host, version', async () => {
    const header = (ns: string) => `<s:stream to='x' version='9' xmlns='jabber:client' xmlns:s='${ns}'>`
    expect(await answerTo(server().port, header('urn:x'))).toBe(failure('invalid-namespace'))
    expect(await answerTo(server().port, header('http://etherx.jabber.org/streams'))).toBe(failure('host-unknown'))
  })

  it('may use any prefix for the stream namespace, and none (§4 trap 38)', async () => {
    for (const [name, ns] of [
      ['s:stream', "xmlns='jabber:client' xmlns:s="],
      ['stream', 'xmlns='],
    ]) {
      const connection = await RawConnection.open(server().port)
      await connection.send(`<${name} to='localhost' version='1.0' ${ns}'http://etherx.jabber.org/streams'>`)
      await connection.until('</stream:features>')
      await connection.send(`</${name}>`)
      expect(await connection.closed()).toMatch(/<\/stream:features><\/stream:stream>$/)
    }
  })

  it('names the host in any case (§4 trap 37), and the answer is from the host that was named', async () => {
    for (const [to, host] of [
      ['LOCALHOST', 'localhost'],
      ['Capulet.Example', 'capulet.example'],
      ['capulet.example.', 'capulet.example'],
    ]) {
      const client = await clientOf(server())
      await client.open({ to: to! })
      expect(client.header?.attrs).toMatchObject({ from: host, version: '1.0', 'xml:lang': 'en' })
    }
  })

  it('may come byte by byte, behind white space and a byte order mark', async () => {
    const connection = await RawConnection.open(server().port)
    for (const byte of Buffer.from(`\ufeff${streamHeader()}`)) await connection.send(Buffer.of(byte))
    await connection.until('</stream:features>')
    const other = await RawConnection.open(server().port)
    await other.send(`\n \t${streamHeader().replace(/^<\?.*?\?>/, '')}`)
    await other.until('</stream:features>')
  })

  it("is told in the language of the server when the client names none, and in the client's otherwise", async () => {
    const tooDeep = `${'<a>'.repeat(257)}`
    for (const [lang, told] of [
      ['', 'en'],
      [" xml:lang='de'", 'de'],
      [` xml:lang='${'x'.repeat(35)}'`, 'x'.repeat(35)],
      [` xml:lang='${'x'.repeat(36)}'`, 'en'],
      [" xml:lang=''", 'en'],
    ]) {
      const answer = await answerTo(server().port, `${streamHeader(`to='localhost' version='1.0'${lang}`)}${tooDeep}`)
      expect(answer).toContain(`<text xml:lang='${told}' xmlns='urn:ietf:params:xml:ns:xmpp-streams'>`)
    }
  })
})

describe('hide_service_name (§2.1)', () => {
  const server = sharedServer({ config: { general: { hosts: ['localhost'], hide_service_name: true } } })

  it.each([
    ['a word', 'malformed'],
    ['a request of HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['another element', '<message/>'],
    ['a document type', '<!DOCTYPE html>'],
    ['a comment', '<!-- x -->'],
    ['bytes that are no text', Buffer.of(0x16, 0x03, 0x01, 0x00, 0xff)],
    ['a name that is not UTF-8', Buffer.of(0x3c, 0xe9, 0x3e)],
  ])('closes without a word where the first bytes are %s', async (_, bytes) => {
    expect(await answerTo(server().port, bytes)).toBe('')
  })

  it('still answers an unknown host, a wrong namespace and a wrong version', async () => {
    const { port } = server()
    expect(await answerTo(port, streamHeader("to='x' version='1.0'"))).toBe(failure('host-unknown'))
    expect(await answerTo(port, "<stream to='localhost' version='1.0'>")).toBe(failure('invalid-namespace'))
    expect(await answerTo(port, streamHeader("to='localhost'"))).toBe(failure('unsupported-version'))
  })

  it('does not hide what goes wrong behind a good header', async () => {
    expect(withoutText(await answerTo(server().port, `${streamHeader()}<a></b>`))).toMatch(
      /<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/><\/stream:error><\/stream:stream>$/,
    )
  })
})
