import { anonymous } from './anonymous.js'
import type { ScramHash } from './credentials.js'
import { digestMd5 } from './digest.js'
import { external } from './external.js'
import type { ChannelBindingType, SaslContext, SaslExchange } from './mechanism.js'
import { plain } from './plain.js'
import { scram } from './scram.js'

/** What an authentication method can check. spec/listeners.md §2.6 */
export type SaslCapability = 'plain' | 'digest' | 'scram' | 'anonymous' | 'external'

interface Mechanism {
  /** The registered name. */
  wire: string
  needs: SaslCapability
  /** For SCRAM. */
  hash?: ScramHash
  isPlus?: true
  start(context: SaslContext): SaslExchange
}

const scramMechanism = (wire: string, hash: ScramHash): Mechanism => ({
  wire,
  needs: 'scram',
  hash,
  start: context => scram(hash, false, context),
})

const scramPlusMechanism = (wire: string, hash: ScramHash): Mechanism => ({
  wire,
  needs: 'scram',
  hash,
  isPlus: true,
  start: context => scram(hash, true, context),
})

/** Every mechanism by its name in `auth.sasl_mechanisms`. */
export const saslMechanisms = {
  scram_sha512_plus: scramPlusMechanism('SCRAM-SHA-512-PLUS', 'sha512'),
  scram_sha512: scramMechanism('SCRAM-SHA-512', 'sha512'),
  scram_sha384_plus: scramPlusMechanism('SCRAM-SHA-384-PLUS', 'sha384'),
  scram_sha384: scramMechanism('SCRAM-SHA-384', 'sha384'),
  scram_sha256_plus: scramPlusMechanism('SCRAM-SHA-256-PLUS', 'sha256'),
  scram_sha256: scramMechanism('SCRAM-SHA-256', 'sha256'),
  scram_sha224_plus: scramPlusMechanism('SCRAM-SHA-224-PLUS', 'sha224'),
  scram_sha224: scramMechanism('SCRAM-SHA-224', 'sha224'),
  scram_sha1_plus: scramPlusMechanism('SCRAM-SHA-1-PLUS', 'sha'),
  scram_sha1: scramMechanism('SCRAM-SHA-1', 'sha'),
  plain: { wire: 'PLAIN', needs: 'plain', start: plain },
  anonymous: { wire: 'ANONYMOUS', needs: 'anonymous', start: anonymous },
  external: { wire: 'EXTERNAL', needs: 'external', start: external },
  digest: { wire: 'DIGEST-MD5', needs: 'digest', start: digestMd5 },
} as const satisfies Record<string, Mechanism>

export type SaslMechanismName = keyof typeof saslMechanisms

export interface OfferInput {
  /** `auth.sasl_mechanisms`, in the order in which they are advertised. */
  configured: readonly SaslMechanismName[]
  /** What the configured methods can check, taken together. */
  capabilities: ReadonlySet<SaslCapability>
  /** The SCRAM hashes that credentials are stored for. */
  hashes: readonly ScramHash[]
  isEncrypted: boolean
  /** Whether the listener allows a password in clear text. spec/listeners.md §3.1.5 */
  mayPlainInClear: boolean
  /** The types that this connection can compute, best first; none without TLS and none over HTTP. */
  channelBindings: readonly ChannelBindingType[]
  /** Whether the client showed a certificate that counts. */
  hasCertificate: boolean
}

export interface Offer {
  /** Wire names for `<mechanisms/>`; empty when nobody can log in here. */
  mechanisms: string[]
  /** Types for `<sasl-channel-binding/>` (XEP-0440); empty when no -PLUS mechanism is offered. */
  channelBindings: ChannelBindingType[]
}

/** What to offer to a client. */
export function offerMechanisms(input: OfferInput): Offer {
  const mayBind = input.isEncrypted && input.channelBindings.length > 0
  const offered = input.configured
    .map((name): Mechanism => saslMechanisms[name])
    .filter(({ needs, hash, isPlus }) => {
      if (!input.capabilities.has(needs)) return false
      if (hash !== undefined && !input.hashes.includes(hash)) return false
      if (isPlus && !mayBind) return false
      if (needs === 'external') return input.isEncrypted && input.hasCertificate
      return needs !== 'plain' || input.isEncrypted || input.mayPlainInClear
    })
  const isBound = offered.some(({ isPlus }) => isPlus)
  return { mechanisms: offered.map(({ wire }) => wire), channelBindings: isBound ? [...input.channelBindings] : [] }
}

const byWireName = new Map<string, Mechanism>(
  Object.values(saslMechanisms).map(mechanism => [mechanism.wire, mechanism]),
)

/** Begins a login with the mechanism that `<auth/>` names; undefined (`invalid-mechanism`) when it was not offered. */
export function startExchange(mechanism: string, context: SaslContext): SaslExchange | undefined {
  return context.offered.includes(mechanism) ? byWireName.get(mechanism)?.start(context) : undefined
}
