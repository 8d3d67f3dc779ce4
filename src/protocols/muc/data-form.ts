import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { NS } from '../namespaces.js'

/*
 * Data forms. XEP-0004
 */

export type FieldType =
  | 'boolean'
  | 'hidden'
  | 'jid-multi'
  | 'jid-single'
  | 'list-multi'
  | 'list-single'
  | 'text-private'
  | 'text-single'

export interface FormField {
  readonly name: string
  readonly type: FieldType
  readonly label?: string
  readonly values?: readonly string[]
  readonly options?: readonly { readonly value: string; readonly label: string }[]
  readonly isRequired?: boolean
}

export interface FormText {
  readonly title?: string
  readonly instructions?: string
}

export function formElement(formType: string, text: FormText, fields: readonly FormField[]): Element {
  const form = new Element('x', { xmlns: NS.data, type: 'form' })
  if (text.title !== undefined) form.c('title').t(text.title)
  if (text.instructions !== undefined) form.c('instructions').t(text.instructions)
  form.c('field', { type: 'hidden', var: 'FORM_TYPE' }).c('value').t(formType)
  for (const field of fields) addField(form, field)
  return form
}

function addField(form: Element, { name, type, label, values = [], options = [], isRequired }: FormField): void {
  const field = form.c('field', { type, var: name, label })
  if (isRequired) field.c('required')
  for (const value of values) field.c('value').t(value)
  for (const option of options) field.c('option', { label: option.label }).c('value').t(option.value)
}

/** What was filled in, by the names of fields. */
export type Submission = ReadonlyMap<string, readonly string[]>

export const booleanText = (value: boolean): string => (value ? '1' : '0')

/** Throws `bad-request`. */
export function readBoolean(text: string | undefined): boolean {
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  throw new StanzaError('bad-request', 'a boolean is 1 or 0')
}

/**
 * The values of a submitted form. Throws `bad-request` for what is no submission, or one of another form. A form without fields may do
 * without its FORM_TYPE.
 */
export function readSubmission(form: Element | undefined, formType: string): Submission {
  if (form === undefined || form.attrs.type !== 'submit')
    throw new StanzaError('bad-request', 'a form is to be submitted')
  const fields = new Map<string, readonly string[]>()
  for (const field of form.getChildren('field')) {
    const name: string | undefined = field.attrs.var
    if (name === undefined) continue // a `fixed` field that came back
    if (fields.has(name)) throw new StanzaError('bad-request', `${name} is said twice`)
    fields.set(
      name,
      field.getChildren('value').map(value => value.getText()),
    )
  }
  const [type] = fields.get('FORM_TYPE') ?? []
  if (fields.size > 0 && type !== formType) throw new StanzaError('bad-request', `the FORM_TYPE is ${formType}`)
  fields.delete('FORM_TYPE')
  return fields
}
