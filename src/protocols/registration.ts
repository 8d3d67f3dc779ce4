import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import { NS } from './namespaces.js'

/** What a client asks of its account. XEP-0077 §3 */
export type RegistrationSet =
  | { readonly action: 'remove' }
  | { readonly action: 'register'; readonly username: string; readonly password: string }

/** The form: which fields the server wants, or who is registered already. XEP-0077 §3.1 */
export function registrationForm(username: string | undefined): Element {
  const query = new Element('query', { xmlns: NS.register })
  if (username === undefined) {
    query.c('instructions').t('Choose a username and password to register with this server')
    query.c('username')
  } else {
    query.c('registered')
    query.c('username').t(username)
  }
  query.c('password')
  return query
}

/** Reads a registration set; throws the `StanzaError` of XEP-0077 §3.1.1, §3.2, §3.3. */
export function readRegistrationSet(query: Element): RegistrationSet {
  const children = query.getChildElements()
  if (children.some(child => child.getName() === 'remove')) {
    if (children.length > 1) throw new StanzaError('bad-request', 'a removal holds nothing else')
    return { action: 'remove' }
  }
  const username = query.getChildText('username') ?? ''
  const password = query.getChildText('password') ?? ''
  if (username === '' || password === '') {
    throw new StanzaError('not-acceptable', 'both a username and a password are needed')
  }
  return { action: 'register', username, password }
}

/** How hard a password is to guess, in bits. MongooseIM's measure: each kind of character in it widens the alphabet. */
export function passwordBits(password: string): number {
  const kinds: [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 9],
    [/[!-/:-@[-`{-~]/, 33],
    [/[^!-~]/, 128],
  ]
  const alphabet = kinds.reduce((size, [kind, letters]) => (kind.test(password) ? size + letters : size), 0)
  return alphabet === 0 ? 0 : Buffer.byteLength(password) * Math.log2(alphabet)
}
