import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { externalMethod } from '../../src/auth/external.js'
import { ManualClock } from '../support/clock.js'

/*
 * Real programs: each of them is this script, which notes what it is asked and does what the password says.
 */
const script = `
const { appendFileSync } = require('node:fs')
const note = line => appendFileSync(process.argv[2], line + '\\n')
note('started ' + process.pid)
process.on('SIGTERM', () => { note('told to end'); if (process.argv[3] !== 'stubborn') process.exit(0) })
const answer = word => process.stdout.write(Buffer.from([0, 2, 0, word]))
let input = Buffer.alloc(0)
process.stdin.on('data', chunk => {
  input = Buffer.concat([input, chunk])
  while (input.length >= 2 && input.length >= 2 + input.readUInt16BE(0)) {
    const length = input.readUInt16BE(0)
    const text = input.subarray(2, 2 + length).toString()
    input = input.subarray(2 + length)
    note(text)
    const password = text.split(':').slice(3).join(':')
    if (password === 'die') process.exit(7)
    else if (password === 'rubbish') process.stdout.write('what?')
    else if (password === 'twice') { answer(1); answer(1) }
    else if (password === 'bits') for (const byte of [0, 2, 0, 1]) process.stdout.write(Buffer.from([byte]))
    else if (password !== 'silence') answer(password === 'right' || password === 'a:b' || text.startsWith('isuser:romeo:') ? 1 : 0)
  }
})
process.stdin.on('end', () => process.exit(0))
`

const folder = mkdtempSync(join(tmpdir(), 'meerkat-program-'))
const log = join(folder, 'log')
const command = `${process.execPath} ${join(folder, 'program.cjs')} ${log}`
writeFileSync(join(folder, 'program.cjs'), script)
beforeEach(() => writeFileSync(log, ''))
afterAll(() => rmSync(folder, { recursive: true }))

const lines = () => readFileSync(log, 'utf8').split('\n').filter(Boolean)
const starts = () => lines().filter(line => line.startsWith('started '))
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // it throws for a process that is gone
  }
}

function method({ instances = 1, program = command } = {}) {
  const clock = new ManualClock(1)
  const failures: string[] = []
  const onFailure = (reason: string) => void failures.push(reason)
  const made = externalMethod({ host: 'montague.example', config: { program, instances }, clock, onFailure })
  onTestFinished(() => made.stop?.())
  void made.start?.()
  const verify = (user: string, password: string) => made.verify?.(user, password) ?? Promise.resolve(false)
  return { ...made, verify, clock, failures }
}
const unavailable = (reason: string | RegExp) => ({
  name: 'BackEndUnavailable',
  message: expect.stringMatching(reason),
})

describe('method external (§2.6)', () => {
  it('asks the program by a length of two bytes and auth:user:host:password, and goes by its answer', async () => {
    const { verify } = method()
    expect(await verify('romeo', 'right')).toBe(true)
    expect(await verify('romeo', 'wrong')).toBe(false)
    expect(await verify('żółć', 'a:b')).toBe(true)
    expect(await verify('romeo', 'bits')).toBe(true)
    expect(lines().slice(1)).toEqual([
      'auth:romeo:montague.example:right',
      'auth:romeo:montague.example:wrong',
      'auth:żółć:montague.example:a:b',
      'auth:romeo:montague.example:bits',
    ])
  })

  it('asks isuser:user:host, and remembers the answer for a while', async () => {
    const { exists } = method()
    expect(await exists('romeo')).toBe(true)
    expect(await exists('juliet')).toBe(false)
    expect([exists('romeo'), exists('juliet')]).toEqual([true, false])
    expect(lines().slice(1)).toEqual(['isuser:romeo:montague.example', 'isuser:juliet:montague.example'])
  })

  it('runs external.instances programs, and asks them at the same time', async () => {
    const { verify } = method({ instances: 3 })
    for (const user of ['a', 'b']) verify(user, 'silence').catch(() => undefined)
    expect(await verify('c', 'right')).toBe(true)
    await expect.poll(() => starts().length).toBe(3)
  })

  it('puts one question after the other to a program that is busy', async () => {
    const { verify } = method()
    const answers = await Promise.all(['right', 'wrong', 'right'].map(password => verify('romeo', password)))
    expect(answers).toEqual([true, false, true])
  })

  it('has room for a thousand questions that wait, and refuses more', async () => {
    const { verify } = method()
    const asked = Array.from({ length: 1_002 }, () => verify('romeo', 'silence'))
    for (const question of asked) question.catch(() => undefined)
    await expect(asked[1_001]).rejects.toMatchObject(unavailable('too many'))
  })

  it('starts a program again that died, each time later, and is unavailable meanwhile', async () => {
    const { verify, clock, failures } = method()
    await expect(verify('romeo', 'die')).rejects.toMatchObject(unavailable('ended with 7'))
    await expect(verify('romeo', 'right')).rejects.toMatchObject(unavailable('no program runs'))
    clock.advance(1_000)
    await expect(verify('romeo', 'die')).rejects.toMatchObject(unavailable('ended with 7'))
    clock.advance(1_999)
    await expect(verify('romeo', 'right')).rejects.toMatchObject(unavailable('no program runs'))
    clock.advance(1)
    expect(await verify('romeo', 'right')).toBe(true)
    expect(failures).toEqual(['the program ended with 7', 'the program ended with 7'])
    expect(starts()).toHaveLength(3)
  })

  it('lets another program answer what waits when one dies', async () => {
    const { verify } = method({ instances: 2 })
    const dying = verify('romeo', 'die')
    const others = Array.from({ length: 5 }, () => verify('romeo', 'right'))
    await expect(dying).rejects.toMatchObject(unavailable('ended'))
    expect(await Promise.all(others)).toEqual([true, true, true, true, true])
  })

  it.each(['rubbish', 'twice'])('does not rely on a program any more that says %s', async password => {
    const { verify, clock, failures } = method()
    await verify('romeo', password).catch(() => undefined)
    await expect.poll(() => failures).toEqual(['the program said what is no answer'])
    clock.advance(1_000)
    expect(await verify('romeo', 'wrong')).toBe(false)
  })

  it('ends a program that does not answer within ten seconds, so that no answer goes to another question', async () => {
    const { verify, clock } = method()
    const silent = verify('romeo', 'silence')
    const waiting = verify('romeo', 'right')
    await expect.poll(() => lines().length).toBe(2)
    clock.advance(10_000)
    await expect(silent).rejects.toMatchObject(unavailable('no answer within 10000 ms'))
    await expect(waiting).rejects.toMatchObject(unavailable('no answer'))
    clock.advance(1_000)
    expect(await verify('romeo', 'right')).toBe(true)
    expect(starts()).toHaveLength(2)
  })

  it('is unavailable where there is no such program', async () => {
    const { verify, failures } = method({ program: join(folder, 'nothing') })
    await expect(verify('romeo', 'right')).rejects.toMatchObject(unavailable('ENOENT'))
    expect(failures).toHaveLength(1)
  })

  it('is unavailable where the command cannot be one', async () => {
    const { verify, failures } = method({ program: '\0' })
    await expect(verify('romeo', 'right')).rejects.toMatchObject(unavailable('no program runs'))
    expect(failures).toHaveLength(1)
  })

  it('ends its programs with the server, the ones that do not want to as well', async () => {
    const polite = method()
    const stubborn = method({ program: `${command} stubborn` })
    await Promise.all([polite.verify('romeo', 'right'), stubborn.verify('romeo', 'right')])
    const pids = starts().map(line => Number(line.split(' ')[1]))
    expect(pids.map(isAlive)).toEqual([true, true])
    const waiting = stubborn.verify('romeo', 'silence')
    waiting.catch(() => undefined)
    const ends = Promise.all([polite.stop?.(), stubborn.stop?.()])
    await expect(waiting).rejects.toMatchObject(unavailable('the server stops'))
    stubborn.clock.advance(2_000)
    await ends
    expect(pids.map(isAlive)).toEqual([false, false])
    await expect(polite.verify('romeo', 'right')).rejects.toMatchObject(unavailable('no program runs'))
  })
})
