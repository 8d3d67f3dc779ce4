import { describe, expect, it } from 'vitest'
import { NS } from '../../src/protocols/namespaces.js'
import { clientOf, PASSWORD, recordedEvents, session, startedServer } from '../support/server.js'

const notAllowed = `<iq type='error'><error code='405' type='cancel'><not-allowed xmlns='${NS.stanzaErrors}'/></error></iq>`

const tables = {
  acl: { banned: [{ user: 'tybalt' }], phones: [{ resource: 'Phone' }] },
  access: {
    c2s: [
      { acl: 'banned', value: 'deny' },
      { acl: 'phones', value: 'deny' },
      { acl: 'all', value: 'allow' },
    ],
    empty: [{ acl: 'banned', value: 'allow' }],
    odd: [{ acl: 'all', value: 'perhaps' }],
  },
}

describe('access (§1.4: asked when the session opens, with the full JID)', () => {
  const started = (access: string, more: object = {}) =>
    startedServer({ users: ['romeo', 'tybalt'], listener: { access }, config: { ...tables, ...more } })

  it('refuses the bind of whom the rule denies with not-allowed; the stream stays open and he may try again', async () => {
    const events = recordedEvents()
    const server = await startedServer({
      users: ['romeo', 'tybalt'],
      listener: { access: 'c2s' },
      config: tables,
      events,
    })
    const client = await clientOf(server)
    await client.open()
    await client.authenticate('SCRAM-SHA-1', 'tybalt', PASSWORD)
    await client.open()
    for (let i = 0; i < 2; i++) {
      await client.send(`<iq type='set' id='b${i}'><bind xmlns='${NS.bind}'/></iq>`)
      await client.receives(notAllowed.replace('<iq', `<iq id='b${i}'`))
    }
    expect(client.isClosed).toBe(false)
    expect(server.status().counters.sessionsRefused).toBe(2)
    expect(events.records.filter(({ name }) => name === 'session.refused')).toHaveLength(2)
    expect(server.status().sessions).toBe(0)
  })

  it('sees the resource: another one is let in on the same stream', async () => {
    const server = await started('c2s')
    const client = await clientOf(server)
    await client.open()
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    await expect(client.bind('Phone')).rejects.toThrow('no resource was bound')
    expect(await client.bind('orchard')).toBe('romeo@localhost/orchard')
    await client.settled()
  })

  it.each(['empty', 'odd', 'none'])(
    'denies where the rule %s says nothing, or something else than allow',
    async rule => {
      const client = await clientOf(await started(rule))
      await expect(client.login('romeo', PASSWORD)).rejects.toThrow('no resource was bound')
    },
  )

  it('lets everybody in with all, which a rule of that name does not change (trap 22)', async () => {
    const access = { ...tables.access, all: [{ acl: 'all', value: 'deny' }] }
    await session(await started('all', { access }), 'tybalt')
  })

  it('adds the clauses of the host', async () => {
    const own = { host: 'localhost', access: { c2s: [{ acl: 'all', value: 'deny' }] } }
    const server = await started('c2s', { host_config: [own] })
    const client = await clientOf(server)
    await expect(client.login('romeo', PASSWORD)).rejects.toThrow('no resource was bound')
  })
})
