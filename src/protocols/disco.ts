import { Element } from 'ltx'
import { NS } from './namespaces.js'

export interface Identity {
  readonly category: string
  readonly type: string
  readonly name?: string
}

/** A data form that says more of an entity. XEP-0128 */
export interface InfoForm {
  readonly formType: string
  readonly fields: readonly { readonly name: string; readonly values: readonly string[] }[]
}

/** What an entity says of itself. XEP-0030 §3 */
export interface DiscoInfo {
  readonly identities: readonly Identity[]
  readonly features: readonly string[]
  readonly forms: readonly InfoForm[]
}

export interface DiscoItem {
  readonly jid: string
  readonly node?: string
  readonly name?: string
}

/** The answer to a disco#info request. XEP-0030 §3.1 */
export function infoElement(info: DiscoInfo, node: string | undefined): Element {
  const query = new Element('query', { xmlns: NS.discoInfo })
  if (node !== undefined) query.attrs.node = node
  for (const identity of info.identities) query.c('identity', { ...identity })
  for (const feature of info.features) query.c('feature', { var: feature })
  for (const form of info.forms) query.cnode(formElement(form))
  return query
}

/** The answer to a disco#items request. XEP-0030 §4.1 */
export function itemsElement(items: Iterable<DiscoItem>, node: string | undefined): Element {
  const query = new Element('query', { xmlns: NS.discoItems })
  if (node !== undefined) query.attrs.node = node
  for (const item of items) query.c('item', { ...item })
  return query
}

function formElement({ formType, fields }: InfoForm): Element {
  const form = new Element('x', { xmlns: NS.data, type: 'result' })
  form.c('field', { var: 'FORM_TYPE', type: 'hidden' }).c('value').t(formType)
  for (const { name, values } of fields) {
    const field = form.c('field', { var: name, type: 'list-multi' })
    for (const value of values) field.c('value').t(value)
  }
  return form
}

// "i;octet" collation; all that we sort is compared by its bytes of UTF-8
const byOctets = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The text whose hash is the verification string. XEP-0115 §5.1 */
export function capsText({ identities, features, forms }: DiscoInfo): string {
  const parts = identities.map(({ category, type, name }) => `${category}/${type}//${name ?? ''}`).sort(byOctets)
  parts.push(...[...features].sort(byOctets))
  for (const form of [...forms].sort((a, b) => byOctets(a.formType, b.formType))) {
    parts.push(form.formType)
    for (const field of [...form.fields].sort((a, b) => byOctets(a.name, b.name))) {
      parts.push(field.name, ...[...field.values].sort(byOctets))
    }
  }
  return parts.map(part => `${part}<`).join('')
}
