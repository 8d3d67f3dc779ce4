import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { parse } from 'ltx'
import { describe, expect, it } from 'vitest'
import {
  answerResult,
  answerVerification,
  dialbackKey,
  isDialbackKey,
  readDialback,
  requestResult,
  requestVerification,
} from '../../src/protocols/dialback.js'
import { NS } from '../../src/protocols/namespaces.js'

const pair = { originating: 'example.org', receiving: 'xmpp.example.com' }
const read = (xml: string) => readDialback(parse(`<s xmlns:db='${NS.dialback}'>${xml}</s>`).getChildElements()[0]!) // the one that was written

describe('dialback keys (§3.2.4)', () => {
  it('makes the key of XEP-0185 with the originating domain first', () => {
    const hashed = createHash('sha256').update('s3cr3tf0rd14lb4ck').digest('hex')
    const mac = createHmac('sha256', hashed).update('example.org xmpp.example.com D60000229F').digest('hex')
    expect(dialbackKey('s3cr3tf0rd14lb4ck', pair, 'D60000229F')).toBe(mac)
    expect(mac).toBe('07335aa400436780596e1102ba010c85129ea50e13e58ab8830a523a8706b575')
  })

  it('takes a key for the stream, pair and secret that it was made for, and for no other', () => {
    const key = dialbackKey('secret', pair, 'id')
    expect(isDialbackKey(key, 'secret', pair, 'id')).toBe(true)
    expect(isDialbackKey(key, 'secret', pair, 'other')).toBe(false)
    expect(isDialbackKey(key, 'other', pair, 'id')).toBe(false)
    expect(isDialbackKey(key, 'secret', { originating: pair.receiving, receiving: pair.originating }, 'id')).toBe(false)
    expect(isDialbackKey('', 'secret', pair, 'id')).toBe(false)
  })

  it('takes no other text for the key', () => {
    const key = dialbackKey('secret', pair, 'id')
    fc.assert(fc.property(fc.string(), text => isDialbackKey(text, 'secret', pair, 'id') === (text === key)))
  })
})

describe('dialback elements (XEP-0220)', () => {
  it('are read as they are written', () => {
    const question = { from: 'example.org', to: 'xmpp.example.com', type: undefined, key: 'k' }
    expect(read(requestResult(pair, 'k'))).toEqual({ ...question, name: 'result', id: undefined })
    expect(read(requestVerification(pair, 'i', 'k'))).toEqual({
      ...question,
      name: 'verify',
      from: question.to,
      to: question.from,
      id: 'i',
    })
    expect(read(answerResult(pair, 'valid'))).toMatchObject({ name: 'result', from: pair.receiving, type: 'valid' })
    expect(read(answerVerification(pair, 'i', 'invalid'))).toMatchObject({ from: pair.originating, type: 'invalid' })
  })

  it('prepares the domains', () => {
    expect(read(`<db:result from='EXAMPLE.org' to='xmpp.example.com.'>k</db:result>`)).toMatchObject({
      from: 'example.org',
      to: 'xmpp.example.com',
    })
  })

  it.each([
    ['no from', `<db:result to='a'>k</db:result>`],
    ['no to', `<db:result from='a'>k</db:result>`],
    ['an address that is no domain', `<db:result from='u@a' to='b'>k</db:result>`],
    ['an unknown type', `<db:result from='a' to='b' type='maybe'/>`],
    ['a question without a stream', `<db:verify from='a' to='b'>k</db:verify>`],
    ['a key without end', `<db:result from='a' to='b'>${'k'.repeat(1025)}</db:result>`],
    ['another element', `<db:other from='a' to='b'>k</db:other>`],
    ['another namespace', `<result xmlns='x' from='a' to='b'>k</result>`],
  ])('are nothing with %s', (_, xml) => {
    expect(read(xml)).toBeUndefined()
  })
})
