import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { TestServer } from '../../src/testing.js'
import { ManualClock } from './clock.js'
import { freePort } from './programs.js'
import { acceptorNames, startServer } from './server.js'

/*
 * Every option of a table of the configuration makes a difference that somebody outside can see: one row an option, two values,
 * and what is seen, which must differ. How to use it: declare the rows, and call `describeOptions` with them, the schema's keys
 * (`keysOf`) and the configuration around the table. Each row becomes a test with the path of the option for a title; the
 * script of CI holds docs/configuration.md against the titles that passed, so name the table there.
 */

export type Table = Readonly<Record<string, unknown>>

export interface Row {
  /** Its path in the table, such as `tls.certfile`. */
  readonly option: string
  readonly values: readonly [unknown, unknown]
  /** Where the values go, when it is not the option itself: an array of tables is set as a whole. */
  readonly at?: string
  /** What else the table has; `undefined` takes away what it has by default. */
  readonly beside?: Table
  /** More of the configuration, beside that which the table stands in. */
  readonly config?: Readonly<Record<string, object>>
  /** The server did not start with one of the values: that is what is seen. */
  readonly mayRefuse?: true
  /** What is seen; compared as JSON. */
  see(server: TestServer, clock: ManualClock): unknown
}

export interface OptionTable {
  /** Its path, such as `listen.s2s`. */
  readonly path: string
  /** Of the schema. */
  readonly keys: readonly string[]
  readonly rows: readonly Row[]
  /** Options whose test stands elsewhere, with the path as title. */
  readonly elsewhere?: readonly string[]
  /** What the table has where a row says nothing else. */
  readonly defaults: Table
  /** The configuration that it stands in. */
  configOf(table: Table): Readonly<Record<string, object>>
}

/** The rows that all listeners of XMPP share; `protocol` is what `server.addresses` says of the listener. */
export async function listenerRows(protocol: 's2s' | 'service'): Promise<Row[]> {
  const address = (server: TestServer) => server.addresses.find(found => found.protocol === protocol)
  return [
    { option: 'port', values: [await freePort(), await freePort()], see: server => address(server)?.port },
    { option: 'ip_address', values: ['127.0.0.1', '127.0.0.2'], see: server => address(server)?.address },
    {
      option: 'ip_version',
      values: [4, 6],
      beside: { ip_address: undefined },
      see: server => address(server)?.address,
    },
    { option: 'proto', values: ['tcp', 'udp'], see: server => server.addresses.map(found => found.protocol) },
    { option: 'num_acceptors', values: [1, 3], see: server => acceptorNames(server).length },
  ]
}

/** All paths of options in a table, those in tables within it included. */
export function keysOf(schema: z.ZodType): string[] {
  const table = tableOf(schema)
  if (table === undefined) return []
  return Object.entries(table.shape).flatMap(([key, value]) => {
    const inner = keysOf(value as z.ZodType) // zod declares its core's type
    return inner.length === 0 ? [key] : inner.map(path => `${key}.${path}`)
  })
}

/** The table that a schema describes, or those of an array. */
function tableOf(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema
  if (schema instanceof z.ZodArray) return tableOf(schema.element)
  const wrappers = [z.ZodOptional, z.ZodDefault, z.ZodPrefault]
  for (const wrapper of wrappers) if (schema instanceof wrapper) return tableOf(schema.unwrap())
  return undefined
}

/** A test for each row, and one that there is a row for each key. */
export function describeOptions(options: OptionTable): void {
  const { path, rows, keys, elsewhere = [] } = options
  it('has a row for every key of the schema', () => {
    expect([...rows.map(({ option }) => option), ...elsewhere].sort()).toEqual([...keys].sort())
  })

  it.each(rows.map(row => [row.option, row] as const))(
    `${path}.%s`,
    async (_, row) => {
      const [one, other] = [await seen(options, row, row.values[0]), await seen(options, row, row.values[1])]
      expect(one).not.toBe(other)
    },
    60_000,
  )

  describe('what is compared', () => {
    it.each(steady(rows))(
      'looks the same twice with the same value: %s',
      async (_, row) => {
        expect(await seen(options, row, row.values[0])).toBe(await seen(options, row, row.values[0]))
      },
      60_000,
    )
  })
}

/** The first, the one in the middle, and the last: that a difference is none by chance. */
function steady(rows: readonly Row[]) {
  const chosen = [rows[1], rows[Math.floor(rows.length / 2)], rows.at(-1)]
  return chosen.flatMap(row => (row === undefined ? [] : [[row.option, row] as const]))
}

/** What is seen of a server that has the row's option set to a value. */
async function seen({ defaults, configOf }: OptionTable, row: Row, value: unknown): Promise<string> {
  const clock = new ManualClock()
  const table = withValue({ ...defaults, ...row.beside }, (row.at ?? row.option).split('.'), value)
  const config = { ...row.config, ...configOf(withoutUnset(table)) }
  const server = await startServer({ users: ['romeo'], config, clock }).catch(error => {
    if (row.mayRefuse) return undefined
    throw error
  })
  if (server === undefined) return 'refused'
  try {
    return JSON.stringify((await row.see(server, clock)) ?? null)
  } catch (error) {
    if (row.mayRefuse) return 'refused'
    throw error
  } finally {
    // The next one may want the same port.
    await server.stop()
  }
}

function withValue(table: Table, [key = '', ...rest]: readonly string[], value: unknown): Table {
  if (rest.length === 0) return { ...table, [key]: value }
  return { ...table, [key]: withValue((table[key] as Table | undefined) ?? {}, rest, value) } // rows are ours
}

function withoutUnset(table: Table): Table {
  return Object.fromEntries(
    Object.entries(table)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, value?.constructor === Object ? withoutUnset(value as Table) : value]), // a table is one
  )
}
