import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../observability/clock.js'
import type { Counters } from '../observability/counters.js'
import type { Emit } from '../observability/events.js'
import type { Credentials } from '../protocols/sasl/credentials.js'
import type { CertificateIdentity } from '../protocols/sasl/identity.js'
import type { ChannelBindingType, SaslContext, SaslExchange, SaslStep } from '../protocols/sasl/mechanism.js'
import { type Offer, offerMechanisms, saslMechanisms, startExchange } from '../protocols/sasl/mechanisms.js'
import { StoreUnavailable } from '../storage/store.js'
import { channelBindings } from '../tls/channel-binding.js'
import type { Authenticator } from './authenticate.js'
import type { FailedLogins } from './failed-logins.js'
import { countFailedLogin } from './password-login.js'
import { randomText } from './random-text.js'

/** What a login on one stream depends on. */
export interface LoginFacts {
  readonly host: string
  readonly isEncrypted: boolean
  /** The TLS connection, where bytes of the stream go over one directly. */
  readonly tls: TLSSocket | undefined
  /** The client's, when it showed one that the listener accepts. */
  readonly clientCertificate: X509Certificate | undefined
  /** Of the client. */
  readonly address: string
}

/** How the clients of one listener log in. */
export interface Login {
  offer(facts: LoginFacts): Offer
  /** Undefined when the mechanism is not on offer. */
  exchange(facts: LoginFacts, mechanism: string): SaslExchange | undefined
  /** Does what a `lookup`, `verify`, `identify` or `wait` step asks. Never rejects. */
  check(host: string, exchange: SaslExchange, step: SaslStep): Promise<SaslStep>
}

export interface LoginOptions {
  readonly authenticator: Authenticator
  /** Whether the listener lets clients log in without TLS. */
  readonly mayPlainInClear: boolean
  /** The certificate of the listener. */
  readonly certificate: X509Certificate | undefined
  /** Reads a client's certificate; only asked where a host offers EXTERNAL. */
  identityOf(certificate: X509Certificate): CertificateIdentity
  readonly clock: Clock
  readonly emit: Emit
  readonly counters: Counters
  /** Told of the account that a client says it is, when the store is asked for it. */
  begun(username: string, host: string): void
  /** Told of what is no expected outcome. */
  onBug(error: unknown): void
}

const none: SaslContext['channelBindings'] = new Map()

export function createLogin(options: LoginOptions): Login {
  const { authenticator, mayPlainInClear, certificate, onBug } = options
  const bindingsOf = ({ tls }: LoginFacts): SaslContext['channelBindings'] =>
    tls === undefined || certificate === undefined ? none : channelBindings(tls, certificate)

  /** What was offered under the same circumstances before; they are few. */
  const offers = new Map<string, Offer>()
  const offerWith = (facts: LoginFacts, bindings: SaslContext['channelBindings']): Offer => {
    const key = `${facts.host} ${facts.isEncrypted} ${facts.clientCertificate !== undefined} ${[...bindings.keys()]}`
    const known = offers.get(key)
    if (known !== undefined) return known
    const offer = makeOffer(facts, bindings)
    offers.set(key, offer)
    return offer
  }

  const makeOffer = (facts: LoginFacts, bindings: SaslContext['channelBindings']): Offer => {
    const { configured, capabilities, hashes } = authenticator.sasl(facts.host)
    return offerMechanisms({
      configured,
      capabilities,
      hashes,
      isEncrypted: facts.isEncrypted,
      mayPlainInClear,
      channelBindings: [...bindings.keys()] as ChannelBindingType[], // what `channelBindings` computes is of these types
      hasCertificate: facts.clientCertificate !== undefined,
    })
  }

  return {
    offer: facts => offerWith(facts, bindingsOf(facts)),

    exchange(facts, mechanism) {
      const bindings = bindingsOf(facts)
      const policy = authenticator.sasl(facts.host)
      const exchange = startExchange(mechanism, {
        host: facts.host,
        offered: offerWith(facts, bindings).mechanisms,
        channelBindings: bindings,
        nonce: randomText(18, 'base64'),
        secret: authenticator.secret,
        iterations: policy.iterations,
        get anonymousName() {
          return authenticator.anonymousName()
        },
        // Reading a certificate takes time, and only one mechanism asks what is in it.
        identity:
          mechanism === saslMechanisms.external.wire && facts.clientCertificate !== undefined
            ? options.identityOf(facts.clientCertificate)
            : undefined,
        identitySources: policy.identitySources,
      })
      return exchange && new Attempt(exchange, facts, policy.failures, options)
    },

    async check(host, exchange, step) {
      try {
        switch (step.type) {
          case 'lookup':
            options.begun(step.username, host)
            return exchange.credentials(await authenticator.credentials(step.username, host, step.hash))
          case 'verify':
            return exchange.verified(await authenticator.verify(step.username, host, step.password))
          case 'identify':
            return exchange.verified(await isIdentified(host, exchange, step.username))
          case 'wait':
            await new Promise<void>(resolve => void options.clock.after(step.ms, resolve))
            return step.failure
          default:
            return step
        }
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) onBug(error)
        return temporary
      }
    },
  }

  async function isIdentified(host: string, exchange: SaslExchange, username: string): Promise<boolean> {
    const shown = exchange instanceof Attempt ? exchange.facts.clientCertificate : undefined
    return shown !== undefined && authenticator.identify(username, host, shown)
  }
}

const temporary: SaslStep = { type: 'failure', condition: 'temporary-auth-failure' }

/**
 * An exchange that counts: who guesses wrong waits, and who has guessed wrong too often is not heard any more, right or wrong.
 */
class Attempt implements SaslExchange {
  /** As the client wrote it; '' until it named an account. */
  private username = ''

  constructor(
    private readonly exchange: SaslExchange,
    readonly facts: LoginFacts,
    private readonly failures: FailedLogins,
    private readonly options: Pick<LoginOptions, 'emit' | 'counters'>,
  ) {}

  start(initial?: Buffer): SaslStep {
    return this.judged(this.exchange.start(initial))
  }

  respond(data: Buffer): SaslStep {
    return this.judged(this.exchange.respond(data))
  }

  credentials(found: Credentials | undefined): SaslStep {
    return this.judged(this.exchange.credentials(found))
  }

  verified(isRight: boolean): SaslStep {
    return this.judged(this.exchange.verified(isRight))
  }

  private judged(step: SaslStep): SaslStep {
    switch (step.type) {
      case 'lookup':
      case 'verify':
      case 'identify':
        this.username = step.username
        return this.isBlocked() ? this.throttled() : step
      case 'success':
        if (this.username === '') return step
        // Others may have failed while this one was on its way.
        if (this.isBlocked()) return this.throttled()
        this.failures.succeeded(this.facts.address, this.username)
        return step
      case 'failure':
        if (step.condition !== 'not-authorized' || step.isMismatch || this.username === '') return step
        if (this.isBlocked()) return this.throttled()
        return { type: 'wait', ms: this.failed(), failure: step }
      default:
        return step
    }
  }

  private isBlocked(): boolean {
    return this.failures.isBlocked(this.facts.address, this.username)
  }

  /** Milliseconds to wait. */
  private failed(): number {
    const { address, host } = this.facts
    return countFailedLogin(this.failures, { username: this.username, host, address }, this.options.emit)
  }

  private throttled(): SaslStep {
    this.options.counters.loginsThrottled++
    return temporary
  }
}
