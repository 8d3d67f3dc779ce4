import { NS } from '../namespaces.js'

/** What decides which features a stream offers. */
export interface FeatureContext {
  /** STARTTLS on this stream: not to be had (or done already), offered, or the only way on. */
  readonly startTls: 'none' | 'offered' | 'required'
  /** zlib may be asked for now. XEP-0138 */
  readonly hasCompression: boolean
  readonly isAuthenticated: boolean
  /** SASL mechanism names in the order of preference. */
  readonly mechanisms: readonly string[]
  /** Channel-binding types, when a -PLUS mechanism is among them. XEP-0440 */
  readonly channelBindings: readonly string[]
  /** Bytes that one element may have from here on. XEP-0478 */
  readonly maxBytes: number
  /** What modules add, as XML, in their order. */
  readonly fromModules: string
}

/** One stream feature. RFC 6120 §4.3.2 */
interface Feature {
  readonly name: string
  when(context: FeatureContext): boolean
  offer(context: FeatureContext): string
}

const startTls: Feature = {
  name: 'starttls',
  when: context => context.startTls !== 'none' && !context.isAuthenticated,
  offer: context => `<starttls xmlns='${NS.tls}'>${context.startTls === 'required' ? '<required/>' : ''}</starttls>`,
}

const compression: Feature = {
  name: 'compression',
  when: context => context.hasCompression,
  offer: () => `<compression xmlns='${NS.compressFeature}'><method>zlib</method></compression>`,
}

const mechanisms: Feature = {
  name: 'mechanisms',
  // An empty list of mechanisms would break the schema, so the feature is left out. spec/listeners.md §4 trap 41
  when: context => !context.isAuthenticated && context.mechanisms.length > 0,
  offer: context =>
    `<mechanisms xmlns='${NS.sasl}'>${context.mechanisms.map(name => `<mechanism>${name}</mechanism>`).join('')}</mechanisms>`,
}

const channelBindings: Feature = {
  name: 'sasl-channel-binding',
  when: context => !context.isAuthenticated && context.channelBindings.length > 0,
  offer: context =>
    `<sasl-channel-binding xmlns='${NS.saslChannelBinding}'>` +
    `${context.channelBindings.map(type => `<channel-binding type='${type}'/>`).join('')}</sasl-channel-binding>`,
}

const bind: Feature = {
  name: 'bind',
  when: context => context.isAuthenticated,
  offer: () => `<bind xmlns='${NS.bind}'/>`,
}

const session: Feature = {
  name: 'session',
  when: context => context.isAuthenticated,
  offer: () => `<session xmlns='${NS.session}'><optional/></session>`,
}

/** In the order of precedence. spec/listeners.md §3.1.2 */
const all: readonly Feature[] = [startTls, compression, mechanisms, channelBindings, bind, session]

/** Last, behind what modules offer. */
const limits = (maxBytes: number) => `<limits xmlns='${NS.streamLimits}'><max-bytes>${maxBytes}</max-bytes></limits>`

/** The children of `<stream:features/>`. Where STARTTLS is required, nothing stands beside it. RFC 6120 §5.3.1 */
export function offerFeatures(context: FeatureContext): string {
  if (context.startTls === 'required' && !context.isAuthenticated) return startTls.offer(context)
  const ours = all.filter(feature => feature.when(context)).map(feature => feature.offer(context))
  return ours.join('') + context.fromModules + limits(context.maxBytes)
}
