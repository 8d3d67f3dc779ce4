import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { answerTo, clientOf, PASSWORD, session, sharedServer, streamHeader } from '../support/server.js'

/** What LIMITS §2 lists and RFC 6120 §11.1 forbids, and how the stream ends. */
const refused: [string, string | Buffer, string][] = [
  ['a duplicate attribute', "<message id='1' id='2'/>", 'not-well-formed'],
  ['an undefined entity', '<message><body>&foo;</body></message>', 'restricted-xml'],
  ['an undefined entity in an attribute', "<message id='&foo;'/>", 'restricted-xml'],
  ['a reference to a control character', '<message><body>&#1;</body></message>', 'not-well-formed'],
  ['a reference to a surrogate', '<message><body>&#xD800;</body></message>', 'not-well-formed'],
  ['a bare ampersand', '<message><body>a & b</body></message>', 'not-well-formed'],
  ['an ampersand without semicolon', '<message><body>&amp</body></message>', 'not-well-formed'],
  ['< in an attribute', "<message id='<'/>", 'not-well-formed'],
  ['no space between attributes', "<message id='1'to='romeo@localhost'/>", 'not-well-formed'],
  ['an attribute without a value', '<message id/>', 'not-well-formed'],
  ['a value without quotes', '<message id=1/>', 'not-well-formed'],
  ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]>', 'restricted-xml'],
  ['a document type inside a stanza', '<message><!DOCTYPE a></message>', 'restricted-xml'],
  ['an entity declaration', '<!ENTITY a "b">', 'restricted-xml'],
  ['a processing instruction', '<?php echo 1 ?>', 'restricted-xml'],
  ['a processing instruction inside a stanza', '<message><?x y?></message>', 'restricted-xml'],
  ['an XML declaration in the stream', "<?xml version='1.0'?>", 'restricted-xml'],
  ['a comment', '<!-- x -->', 'restricted-xml'],
  ['a comment inside a stanza', '<message><!-- x --></message>', 'restricted-xml'],
  ['CDATA between stanzas', '<![CDATA[x]]>', 'bad-format'],
  ['text between stanzas', '<presence/>x', 'bad-format'],
  ['an entity between stanzas', '&lt;', 'bad-format'],
  ['a control character', '<message><body>\x01</body></message>', 'not-well-formed'],
  ['NUL', '<message><body>\0</body></message>', 'not-well-formed'],
  ['U+FFFE', '<message><body>\ufffe</body></message>', 'not-well-formed'],
  [']]> in text', '<message><body>]]></body></message>', 'not-well-formed'],
  ['a name that begins with a digit', '<1m/>', 'not-well-formed'],
  ['a name with a dollar sign', '<m$/>', 'not-well-formed'],
  ['an end tag with attributes', "<message></message id='1'>", 'not-well-formed'],
  ['a mismatched end tag', '<message></presence>', 'not-well-formed'],
  ['crossed tags', '<message><a><b></a></b></message>', 'not-well-formed'],
  ['the end of another stream', '</stream>', 'not-well-formed'],
  ['an unbound prefix on an element', '<a:b/>', 'not-well-formed'],
  ['an unbound prefix on an attribute', "<message a:b='c'/>", 'not-well-formed'],
  ['xml bound to something else', "<message xmlns:xml='urn:x'/>", 'not-well-formed'],
  ['two colons', "<a:b:c xmlns:a='urn:a'/>", 'not-well-formed'],
  ['a lone continuation byte', Buffer.from('<message><body>\x80</body></message>', 'latin1'), 'bad-format'],
  ['an overlong character', Buffer.from('<message><body>\xc0\xaf</body></message>', 'latin1'), 'bad-format'],
  ['a surrogate in UTF-8', Buffer.from('<message><body>\xed\xa0\x80</body></message>', 'latin1'), 'bad-format'],
  ['Latin-1', Buffer.from("<message id='caf\xe9'/>", 'latin1'), 'bad-format'],
]

describe('XML that is malformed or that RFC 6120 §11.1 forbids (LIMITS §2, §4 trap 39)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })

  async function ends(client: Client, bytes: string | Buffer, condition: string, piece: number): Promise<void> {
    const all = Buffer.from(bytes)
    for (let at = 0; at < all.length && !client.isClosed; at += piece)
      await client.sendBytes(all.subarray(at, at + piece))
    await client.streamError(condition)
    expect(await client.closed()).toEqual({ streamEnded: true })
  }

  it.each(refused)('ends a session: %s', async (_, bytes, condition) => {
    const client = await session(server(), 'romeo', { mechanism: 'PLAIN' })
    await ends(client, bytes, condition, 10_000)
    expect(server().internals.sessions.byFull(client.jid!)).toBeUndefined()
  })

  it.each(refused)('ends a stream before the login, byte by byte: %s', async (_, bytes, condition) => {
    const client = await clientOf(server())
    await client.open()
    await ends(client, bytes, condition, 1)
  })

  it('ends a stream that has logged in and not bound', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.open()
    await ends(client, '<message></body>', 'not-well-formed', 100)
  })

  it('ends a stream between SASL and its new header, with a header of ours', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.send('<!-- x -->')
    await client.streamError('restricted-xml')
    expect(client.header?.attrs).toMatchObject({ from: 'localhost', version: '1.0' })
  })

  it.each([
    ['a document type', '<!DOCTYPE stream>', 'restricted-xml'],
    ['another processing instruction', '<?php ?>', 'restricted-xml'],
    ['a comment', '<!-- x -->', 'restricted-xml'],
    ['another encoding', "<?xml version='1.0' encoding='ISO-8859-1'?>", 'unsupported-encoding'],
    ['another version of XML', "<?xml version='2.0'?>", 'not-well-formed'],
    ['invalid UTF-8', Buffer.from(streamHeader("to='caf\xe9'"), 'latin1'), 'bad-format'],
  ])('ends a stream where the header should be: %s', async (_, bytes, condition) => {
    const answer = await answerTo(server().port, bytes)
    expect(answer).toMatch(new RegExp(`^<\\?xml version='1.0'\\?><stream:stream .*><stream:error><${condition} `))
    expect(answer).toMatch(/<\/stream:error><\/stream:stream>$/)
  })

  it('lets nothing of the broken stanza through, and all that came before', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(
      `<message to='${juliet.jid}'><body>good</body></message><message to='${juliet.jid}'><body>bad</body><a></b></message>`,
    )
    await romeo.streamError('not-well-formed')
    await juliet.receives('<message><body>good</body></message>')
    await juliet.receivesNothing('<message/>')
  })
})
