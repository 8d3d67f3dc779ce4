import { BlockList, isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { Element } from 'ltx'
import { z } from 'zod'
import { nonneg, rule } from '../config/primitives.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { passwordBits, readRegistrationSet, registrationForm } from '../protocols/registration.js'
import { UnusablePassword } from '../protocols/sasl/scram-keys.js'
import { iqResult, Stanza } from '../protocols/stanza/stanza.js'
import { answered, type IqAnswer } from '../routing/iq.js'
import { removeAccount } from '../routing/session-lifecycle.js'
import { entries } from '../storage/remembered.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

/** Addresses whose last registration is remembered. */
const rememberedAddresses = 10_000

const config = z
  .strictObject({
    access: rule()
      .default('all')
      .meta({ description: 'Access rule that says which names may be registered.', example: 'register' }),
    ip_access: z
      .array(
        z.strictObject({
          address: z.string().refine(text => parseNetwork(text) !== undefined, {
            error: 'an IP address, or a network such as 10.0.0.0/8',
          }),
          policy: z.enum(['allow', 'deny']),
        }),
      )
      .default([])
      .meta({
        description: 'Who may register, by address; the first that matches decides, and whom none matches may.',
        example: [
          { address: '127.0.0.0/8', policy: 'allow' },
          { address: '0.0.0.0/0', policy: 'deny' },
        ],
      }),
    welcome_message: z
      .strictObject({ subject: z.string().default(''), body: z.string().default('') })
      .default({ subject: '', body: '' })
      .meta({
        description: 'A message to every new account; none when both are empty.',
        example: { subject: 'Hello', body: 'Be welcome.' },
      }),
    registration_watchers: z
      .array(z.string().refine(text => Jid.parse(text) !== undefined, { error: 'a JID' }))
      .default([])
      .meta({ description: 'JIDs that are told of every new account.', example: ['admin@example.com'] }),
    password_strength: nonneg()
      .default(0)
      .meta({ description: 'Bits of entropy that a password must have at least.', example: 32 }),
    iqdisc: iqdisc(),
  })
  .meta({ description: 'Registration in band.' })
type Options = z.infer<typeof config>

export const register = defineModule({
  name: 'mod_register',
  implements: ['XEP-0077'],
  features: [NS.register],
  shipped: {
    ip_access: [
      { address: '127.0.0.0/8', policy: 'allow' },
      { address: '::1', policy: 'allow' },
      { address: '0.0.0.0/0', policy: 'deny' },
      { address: '::/0', policy: 'deny' },
    ],
  },
  config,
  unsupported: unsupportedIqdisc,

  start(server, options) {
    const registration = new Registration(server, options)
    server.offerStreamFeature(({ isAuthenticated }) =>
      isAuthenticated ? undefined : `<register xmlns="${NS.registerFeature}"/>`,
    )
    server.onUnauthenticatedIq(NS.register, 'query', (iq, address) => {
      if (iq.type === 'get') return registrationForm(undefined)
      return registration.create(iq, address)
    })
    for (const target of ['host', 'account'] as const) {
      server.onIq(target, 'get', NS.register, 'query', iq => registrationForm(registration.owner(iq).local))
      server.onIq(target, 'set', NS.register, 'query', iq => registration.change(iq))
    }
  },
})

const latestRegistrations = () => new LRUCache<string, number>(entries(rememberedAddresses))

class Registration {
  readonly #server: ModuleServer
  readonly #options: Options
  readonly #networks: readonly { list: BlockList; policy: 'allow' | 'deny' }[]
  /** When an address last made an account. */
  readonly #latest: LRUCache<string, number>

  constructor(server: ModuleServer, options: Options) {
    this.#server = server
    this.#latest = server.kept('latest', () => latestRegistrations())
    this.#options = options
    this.#networks = options.ip_access.map(({ address, policy }) => ({ list: parseNetwork(address)!, policy }))
  }

  /** Makes an account for a client that has not logged in. XEP-0077 §3.1 */
  async create(iq: Stanza, address: string): Promise<IqAnswer> {
    const { server, options } = { server: this.#server, options: this.#options }
    const wanted = readRegistrationSet(iq.element.getChild('query', NS.register)!)
    if (wanted.action === 'remove') throw new StanzaError('unexpected-request', 'log in to remove your account')
    const account = Jid.of(wanted.username, server.host)
    if (!account || account.local === '') throw new StanzaError('jid-malformed', 'the username is not valid')
    const isAllowed = options.access === 'all' || server.access(server.host, options.access, account) === 'allow'
    if (!isAllowed || !this.#admits(address)) throw new StanzaError('forbidden', 'registration is not open to you')
    this.#checkPassword(wanted.password)
    const release = this.#reserve(address)
    try {
      const result = await usable(server.accounts.create(account.local, server.host, wanted.password))
      if (result === 'exists') throw new StanzaError('conflict', 'the username is taken')
      if (result === 'not-allowed') throw new StanzaError('not-allowed', 'this server makes no accounts')
    } catch (error) {
      release()
      throw error
    }
    server.hooks.counters.modRegisterCount++
    this.#welcome(account)
    this.#tellWatchers(account, address)
    return undefined
  }

  /** Changes the password or removes the account of a client that has logged in. XEP-0077 §3.2, §3.3 */
  async change(iq: Stanza): Promise<IqAnswer> {
    const account = this.owner(iq)
    const wanted = readRegistrationSet(iq.element.getChild('query', NS.register)!)
    return wanted.action === 'remove' ? this.#remove(iq, account) : this.#setPassword(account, wanted)
  }

  /** Whose account an IQ in a session is about: the sender's, never another's. */
  owner(iq: Stanza): Jid {
    const sender = iq.from!.bare
    if (sender.domain !== this.#server.host || sender.local === '')
      throw new StanzaError('not-allowed', 'you have no account here')
    if (iq.to!.local !== '' && iq.to!.bareText !== sender.text)
      throw new StanzaError('forbidden', 'this is not your account')
    return sender
  }

  async #setPassword(account: Jid, wanted: { username: string; password: string }): Promise<IqAnswer> {
    if (Jid.of(wanted.username, account.domain)?.text !== account.text) {
      throw new StanzaError('not-allowed', 'a session changes nothing but its own account')
    }
    this.#checkPassword(wanted.password)
    const result = await usable(this.#server.accounts.setPassword(account.local, account.domain, wanted.password))
    if (result === 'not-found') throw new StanzaError('item-not-found')
    if (result === 'not-allowed') throw new StanzaError('not-allowed', 'this server changes no passwords')
    return undefined
  }

  async #remove(iq: Stanza, account: Jid): Promise<IqAnswer> {
    const { routing, accounts } = this.#server
    // The result has to go out while there is a session to take it.
    const committed = () => void routing.route(iqResult(iq))
    const remove = () => accounts.remove(account.local, account.domain)
    const isRemoved = await removeAccount(routing, account, remove, { committed, condition: 'not-authorized' })
    if (!isRemoved) throw new StanzaError('registration-required')
    return answered
  }

  #checkPassword(password: string): void {
    if (passwordBits(password) < this.#options.password_strength)
      throw new StanzaError('not-acceptable', 'the password is too weak')
  }

  #admits(address: string): boolean {
    const plain = plainAddress(address)
    const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
    return (this.#networks.find(({ list }) => list.check(plain, family))?.policy ?? 'allow') === 'allow'
  }

  /** Counts a registration of the address at once, so that none made at the same time slips through; the returned function takes it back. */
  #reserve(address: string): () => void {
    const { registrationTimeout, clock } = this.#server
    if (registrationTimeout === 'infinity') return () => {}
    const now = clock.now()
    const latest = this.#latest.get(address)
    if (latest !== undefined && now - latest < registrationTimeout * 1000) {
      throw new StanzaError('resource-constraint', 'this address registered an account a short time ago')
    }
    this.#latest.set(address, now)
    return () => void this.#latest.delete(address)
  }

  #welcome(account: Jid): void {
    const { subject, body } = this.#options.welcome_message
    if (subject === '' && body === '') return
    this.#send(account, 'normal', subject, body)
  }

  #tellWatchers(account: Jid, address: string): void {
    const at = new Date(this.#server.clock.wall()).toISOString()
    const body = `[${at}] The account ${account.text} was registered from the address ${address}.`
    for (const watcher of this.#options.registration_watchers) this.#send(Jid.parse(watcher)!, 'chat', '', body)
  }

  #send(to: Jid, type: string, subject: string, body: string): void {
    const message = new Element('message', { from: this.#server.host, to: to.text, type })
    if (subject !== '') message.c('subject').t(subject)
    if (body !== '') message.c('body').t(body)
    void this.#server.routing.route(Stanza.fromElement(message))
  }
}

/** The addresses of an IP address or of a network in CIDR notation; undefined for anything else. */
function parseNetwork(text: string): BlockList | undefined {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return undefined
  const family = version === 6 ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  if (bits === undefined) list.addAddress(address, family)
  else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 6 ? 128 : 32))
    list.addSubnet(address, Number(bits), family)
  else return undefined
  return list
}

/** An IPv4 address that a dual-stack socket shows as IPv6 counts as what it is. */
function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped ? mapped[1]! : address
}

/** Tells the client when its password is none (empty, too long, refused by SASLprep). */
async function usable<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (error instanceof UnusablePassword) throw new StanzaError('not-acceptable', error.message)
    throw error
  }
}
