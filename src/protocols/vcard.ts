import { Element } from 'ltx'
import { NS } from './namespaces.js'

/** What the directory finds people by: XEP-0055's own fields first, then those of the form. */
export const directoryFields = [
  ['user', 'User'],
  ['fn', 'Full Name'],
  ['first', 'Name'],
  ['middle', 'Middle Name'],
  ['last', 'Family Name'],
  ['nick', 'Nickname'],
  ['bday', 'Birthday'],
  ['ctry', 'Country'],
  ['locality', 'City'],
  ['email', 'Email'],
  ['orgname', 'Organization Name'],
  ['orgunit', 'Organization Unit'],
] as const

export type DirectoryField = (typeof directoryFields)[number][0]

/** Where a field stands in a vCard. XEP-0054 §3 */
const places: Record<Exclude<DirectoryField, 'user'>, readonly string[]> = {
  fn: ['FN'],
  first: ['N', 'GIVEN'],
  middle: ['N', 'MIDDLE'],
  last: ['N', 'FAMILY'],
  nick: ['NICKNAME'],
  bday: ['BDAY'],
  ctry: ['ADR', 'CTRY'],
  locality: ['ADR', 'LOCALITY'],
  email: ['EMAIL', 'USERID'],
  orgname: ['ORG', 'ORGNAME'],
  orgunit: ['ORG', 'ORGUNIT'],
}

/** Characters of a field that the directory keeps. */
const fieldLength = 256

/** The fields of a vCard that are not empty, with the account's own name. */
export function fieldsOf(vcard: Element, user: string): { field: DirectoryField; value: string }[] {
  const found: { field: DirectoryField; value: string }[] = [{ field: 'user', value: user }]
  for (const [field, path] of Object.entries(places) as [DirectoryField, readonly string[]][]) {
    const value = textAt(vcard, path).trim().slice(0, fieldLength)
    if (value !== '') found.push({ field, value })
  }
  return found
}

function textAt(vcard: Element, path: readonly string[]): string {
  let at: Element | undefined = vcard
  for (const name of path) at = at?.getChild(name)
  return at?.getText() ?? ''
}

/** The form of a search. XEP-0055 §3 */
export function searchForm(domain: string): Element {
  const query = new Element('query', { xmlns: NS.search })
  query.c('instructions').t('Fill in one or more fields to search for users; a * at the end matches anything.')
  for (const name of ['first', 'last', 'nick', 'email']) query.c(name)
  const form = query.c('x', { xmlns: NS.data, type: 'form' })
  form.c('title').t(`Search users in ${domain}`)
  form.c('instructions').t('Fill in one or more fields; a * at the end matches anything that begins so.')
  form.c('field', { type: 'hidden', var: 'FORM_TYPE' }).c('value').t(NS.search)
  for (const [name, label] of directoryFields) form.c('field', { type: 'text-single', var: name, label })
  return query
}

export interface SearchRequest {
  /** The answer is to be a form as well. */
  readonly isForm: boolean
  readonly criteria: { field: DirectoryField; value: string; isPrefix: boolean }[]
}

/** Reads a search; fields that the directory does not have are passed over. */
export function readSearch(query: Element): SearchRequest {
  const form = query.getChild('x', NS.data)
  const given = form
    ? form.getChildren('field').map(field => [String(field.attrs.var), field.getChildText('value') ?? ''] as const)
    : query.getChildElements().map(child => [child.getName(), child.getText()] as const)
  const criteria = new Map<DirectoryField, SearchRequest['criteria'][number]>()
  for (const [name, text] of given) {
    const field = directoryFields.find(([known]) => known === name)?.[0]
    const isPrefix = text.trim().endsWith('*')
    const value = isPrefix ? text.trim().slice(0, -1) : text.trim()
    if (field !== undefined && value !== '') criteria.set(field, { field, value, isPrefix })
  }
  return { isForm: form !== undefined, criteria: [...criteria.values()] }
}

export interface Found {
  readonly jid: string
  readonly fields: readonly { field: string; value: string }[]
}

/** The answer to a search. XEP-0055 §2.1, §3 */
export function searchResult(isForm: boolean, found: readonly Found[]): Element {
  const query = new Element('query', { xmlns: NS.search })
  if (!isForm) {
    for (const { jid, fields } of found) {
      const item = query.c('item', { jid })
      for (const name of ['first', 'last', 'nick', 'email']) item.c(name).t(textOf(fields, name))
    }
    return query
  }
  const form = query.c('x', { xmlns: NS.data, type: 'result' })
  form.c('field', { type: 'hidden', var: 'FORM_TYPE' }).c('value').t(NS.search)
  const reported = form.c('reported')
  reported.c('field', { var: 'jid', label: 'Jabber ID', type: 'jid-single' })
  for (const [name, label] of directoryFields) reported.c('field', { var: name, label, type: 'text-single' })
  for (const { jid, fields } of found) {
    const item = form.c('item')
    item.c('field', { var: 'jid' }).c('value').t(jid)
    for (const [name] of directoryFields) item.c('field', { var: name }).c('value').t(textOf(fields, name))
  }
  return query
}

const textOf = (fields: Found['fields'], name: string) => fields.find(({ field }) => field === name)?.value ?? ''
