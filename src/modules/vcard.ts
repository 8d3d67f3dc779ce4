import { Element } from 'ltx'
import { z } from 'zod'
import { nonneg, serviceDomain } from '../config/primitives.js'
import { StanzaError } from '../protocols/errors.js'
import { parseFragment, standalone } from '../protocols/fragment.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { fieldsOf, readSearch, searchForm, searchResult } from '../protocols/vcard.js'
import type { IqAnswer } from '../routing/iq.js'
import { riak } from './backend.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer, type Unsupported } from './module.js'
import { accountJid, serveSubdomain } from './subdomain.js'

/** Results of one search where `matches` sets no bound. */
const mostMatches = 10_000

const mapping = (...keys: string[]) =>
  z.array(z.strictObject(Object.fromEntries(keys.map(key => [key, z.string()])))).optional()

const config = z
  .strictObject({
    host: serviceDomain()
      .default('vjud.@HOST@')
      .meta({ description: 'Domain of the directory; `@HOST@` stands for each served host.', example: 'vjud.@HOST@' }),
    search: z.boolean().default(true).meta({ description: 'Whether there is a directory.', example: false }),
    matches: z
      .union([nonneg(), z.literal('infinity')])
      .default(30)
      .meta({ description: 'Accounts that one search finds at most.', example: 10 }),
    backend: z
      .enum(['mnesia', 'rdbms', 'riak', 'ldap'])
      .default('mnesia')
      .meta({ description: 'Both `mnesia` and `rdbms` mean the one store of the server.', example: 'rdbms' }),
    riak: riak('bucket_type', 'search_index'),
    ldap_pool_tag: z.string().optional().meta({ description: 'There are no vCards in LDAP.' }),
    ldap_base: z.string().optional().meta({ description: 'There are no vCards in LDAP.' }),
    ldap_deref: z.string().optional().meta({ description: 'There are no vCards in LDAP.' }),
    ldap_filter: z.string().optional().meta({ description: 'There are no vCards in LDAP.' }),
    ldap_uids: z
      .array(z.strictObject({ attr: z.string(), format: z.string().optional() }))
      .optional()
      .meta({ description: 'There are no vCards in LDAP.' }),
    ldap_vcard_map: mapping('vcard_field', 'ldap_pattern', 'ldap_field').meta({
      description: 'There are no vCards in LDAP.',
    }),
    ldap_search_fields: mapping('search_field', 'ldap_field').meta({ description: 'There are no vCards in LDAP.' }),
    ldap_search_reported: mapping('search_field', 'vcard_field').meta({ description: 'There are no vCards in LDAP.' }),
    ldap_search_operator: z.enum(['or', 'and']).optional().meta({ description: 'There are no vCards in LDAP.' }),
    ldap_binary_search_fields: z.array(z.string()).optional().meta({ description: 'There are no vCards in LDAP.' }),
    iqdisc: iqdisc(),
  })
  .meta({ description: 'vCards, and a directory to find people by them.', example: { host: 'vjud.@HOST@' } })

export const vcard = defineModule({
  name: 'mod_vcard',
  implements: ['XEP-0054', 'XEP-0055', 'XEP-0153'],
  features: [NS.vcard],
  shipped: {},
  config,

  unsupported(options) {
    const found: Unsupported[] = unsupportedIqdisc(options)
    for (const [key, value] of Object.entries(options)) {
      const isForeign = key === 'backend' ? value === 'riak' || value === 'ldap' : /^(riak|ldap_)/.test(key)
      if (!isForeign || value === undefined) continue
      found.push({ path: [key], code: 'not_supported', message: 'vCards are kept in the store of the server' })
    }
    return found
  },

  start(server, options) {
    server.onStop(server.discovery.account.addFeature(NS.vcard))
    server.onIq('account', 'get', NS.vcard, 'vCard', iq => get(server, iq))
    server.onIq('account', 'set', NS.vcard, 'vCard', iq => set(server, iq))
    server.onIq('host', 'get', NS.vcard, 'vCard', () => ownVcard(server, server.software.name))
    if (options.search) startDirectory(server, options)
  },
})

/** A vCard is for everybody to read. XEP-0054 §3.2, §3.3 */
async function get(server: ModuleServer, iq: Stanza): Promise<IqAnswer> {
  const xml = await server.store.vcards.get(iq.to!.local, server.host)
  if (xml !== undefined) return parseFragment(xml)
  // Others cannot tell an account without a vCard from none. XEP-0054 §3.3
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('service-unavailable')
  throw new StanzaError('item-not-found', 'you have no vCard yet')
}

/** XEP-0054 §3.1 */
async function set(server: ModuleServer, iq: Stanza): Promise<IqAnswer> {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your vCard')
  const found = iq.element.getChild('vCard', NS.vcard)!
  const { local } = iq.to!
  await server.store.vcards.put(local, server.host, standalone(found).toString(), fieldsOf(found, local))
  return undefined
}

function ownVcard(server: ModuleServer, name: string): Element {
  const own = new Element('vCard', { xmlns: NS.vcard })
  own.c('FN').t(name)
  own.c('URL').t(server.software.url)
  return own
}

function startDirectory(server: ModuleServer, options: z.infer<typeof config>): void {
  const name = 'User directory'
  const directory = serveSubdomain(server, options.host, { category: 'directory', type: 'user', name })
  const limit = options.matches === 'infinity' ? mostMatches : Math.min(options.matches, mostMatches)
  directory.onIq('get', NS.vcard, 'vCard', () => ownVcard(server, name))
  directory.onIq('get', NS.search, 'query', () => searchForm(directory.domain))
  directory.onIq('set', NS.search, 'query', async iq => {
    const { isForm, criteria } = readSearch(iq.element.getChild('query', NS.search)!)
    const found = await server.store.vcards.search(server.host, criteria, limit)
    return searchResult(
      isForm,
      found.map(({ user, fields }) => ({ jid: accountJid(user, server.host), fields })),
    )
  })
}
