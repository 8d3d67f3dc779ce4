import { randomBytes, type X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ChannelBindingType, SaslContext, SaslExchange, SaslStep } from '../protocols/sasl/mechanism.js'
import { type Offer, offerMechanisms, startExchange } from '../protocols/sasl/mechanisms.js'
import { StoreUnavailable } from '../storage/store.js'
import { channelBindings } from '../tls/channel-binding.js'
import type { Authenticator } from './authenticate.js'

/** What a login on one stream depends on. */
export interface LoginFacts {
  readonly host: string
  readonly isEncrypted: boolean
  /** The TLS connection, where bytes of the stream go over one directly. */
  readonly tls: TLSSocket | undefined
}

/** How the clients of one listener log in. */
export interface Login {
  offer(facts: LoginFacts): Offer
  /** Undefined when the mechanism is not on offer. */
  exchange(facts: LoginFacts, mechanism: string): SaslExchange | undefined
  /** Does what a `lookup` or `verify` step asks. Never rejects. */
  check(host: string, exchange: SaslExchange, step: SaslStep): Promise<SaslStep>
}

export interface LoginOptions {
  readonly authenticator: Authenticator
  /** Whether the listener lets clients log in without TLS. */
  readonly mayPlainInClear: boolean
  /** The certificate of the listener. */
  readonly certificate: X509Certificate | undefined
  /** Told of what is no expected outcome. */
  onBug(error: unknown): void
}

const none: SaslContext['channelBindings'] = new Map()

export function createLogin({ authenticator, mayPlainInClear, certificate, onBug }: LoginOptions): Login {
  const bindingsOf = ({ tls }: LoginFacts): SaslContext['channelBindings'] =>
    tls === undefined || certificate === undefined ? none : channelBindings(tls, certificate)

  const offerWith = (facts: LoginFacts, bindings: SaslContext['channelBindings']): Offer => {
    const { configured, capabilities, hashes } = authenticator.sasl(facts.host)
    return offerMechanisms({
      configured,
      capabilities,
      hashes,
      isEncrypted: facts.isEncrypted,
      mayPlainInClear,
      channelBindings: [...bindings.keys()] as ChannelBindingType[], // what `channelBindings` computes is of these types
    })
  }

  return {
    offer: facts => offerWith(facts, bindingsOf(facts)),

    exchange(facts, mechanism) {
      const bindings = bindingsOf(facts)
      return startExchange(mechanism, {
        host: facts.host,
        offered: offerWith(facts, bindings).mechanisms,
        channelBindings: bindings,
        nonce: randomBytes(18).toString('base64'),
        secret: authenticator.secret,
        iterations: authenticator.sasl(facts.host).iterations,
        get anonymousName() {
          return authenticator.anonymousName()
        },
      })
    },

    async check(host, exchange, step) {
      try {
        if (step.type === 'lookup') {
          return exchange.credentials(await authenticator.credentials(step.username, host))
        }
        if (step.type === 'verify') {
          return exchange.verified(await authenticator.verify(step.username, host, step.password))
        }
        return step
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) onBug(error)
        return { type: 'failure', condition: 'temporary-auth-failure' }
      }
    },
  }
}
