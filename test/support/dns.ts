import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

/*
 * A name server of a test's own. RFC 1035, RFC 2782, RFC 3596
 */

export interface Zone {
  /** Addresses of either family, by name. */
  readonly hosts?: Readonly<Record<string, readonly string[]>>
  /** By name, such as `_xmpp-server._tcp.mantua.example`. */
  readonly services?: Readonly<
    Record<string, readonly { name: string; port: number; priority?: number; weight?: number }[]>
  >
  /** Questions that get no answer. */
  isSilent?(name: string): boolean
}

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const

export interface NameServer {
  /** As `s2s.dns.servers` wants it. */
  readonly address: string
  /** What was asked, as `SRV name`. */
  readonly questions: string[]
  /** Before the test ends. */
  close(): Promise<void>
}

/** Answers until the running test ends; port 0 picks a free one. */
export async function nameServer(zone: Zone, port = 0): Promise<NameServer> {
  const socket = createSocket('udp4')
  const questions: string[] = []
  socket.on('message', (query, client) => {
    const { name, type, end } = questionOf(query)
    questions.push(`${typeName(type)} ${name}`)
    if (zone.isSilent?.(name)) return
    const answers = recordsOf(zone, name, type)
    const known = answers.length > 0 || isKnown(zone, name)
    const header = Buffer.from(query.subarray(0, 12))
    header.writeUInt16BE(known ? 0x8580 : 0x8583, 2) // answer, authoritative, recursive; NXDOMAIN
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    header.writeUInt32BE(0, 8)
    socket.send(Buffer.concat([header, query.subarray(12, end), ...answers]), client.port, client.address)
  })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  const { port: bound } = socket.address()
  let isOpen = true
  const close = async () => {
    if (!isOpen) return
    isOpen = false
    await new Promise<void>(resolve => {
      socket.close(resolve)
    })
  }
  onTestFinished(close)
  return { address: `127.0.0.1:${bound}`, questions, close }
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length !== 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

const typeName = (type: number) => Object.entries(TYPES).find(([, value]) => value === type)?.[0] ?? String(type)

const isKnown = ({ hosts = {}, services = {} }: Zone, name: string) =>
  [...Object.keys(hosts), ...Object.keys(services)].some(known => known === name || known.endsWith(`.${name}`))

function recordsOf({ hosts = {}, services = {} }: Zone, name: string, type: number): Buffer[] {
  if (type === TYPES.SRV) {
    return (services[name] ?? []).map(({ name: target, port, priority = 0, weight = 0 }) => {
      const fixed = Buffer.alloc(6)
      for (const [index, value] of [priority, weight, port].entries()) fixed.writeUInt16BE(value, 2 * index)
      return record(type, Buffer.concat([fixed, encoded(target)]))
    })
  }
  const addresses = (hosts[name] ?? []).filter(address => address.includes(':') === (type === TYPES.AAAA))
  return type === TYPES.A || type === TYPES.AAAA ? addresses.map(address => record(type, bytesOf(address))) : []
}

/** For the name that was asked about, for a second. */
function record(type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(12)
  fixed.writeUInt16BE(0xc00c, 0)
  fixed.writeUInt16BE(type, 2)
  fixed.writeUInt16BE(1, 4)
  fixed.writeUInt32BE(1, 6)
  fixed.writeUInt16BE(data.length, 10)
  return Buffer.concat([fixed, data])
}

function encoded(name: string): Buffer {
  const labels = name === '.' ? [] : name.split('.')
  const pieces = labels.map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...pieces, Buffer.from([0])])
}

/** IPv6 only as `::1` and the like: groups behind `::`. */
function bytesOf(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number))
  const bytes = Buffer.alloc(16)
  const groups = address.replace(/^::/, '').split(':')
  for (const [index, group] of groups.entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - 2 * (groups.length - index))
  }
  return bytes
}
