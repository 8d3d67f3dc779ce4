import { z } from 'zod'
import { Jid } from '../../protocols/jid.js'
import type { OperationServices } from '../services.js'

/** What a command does. The REST API makes its method of it: GET, POST, PUT, DELETE. spec/rest-admin.md §1 */
export type Action = 'read' | 'create' | 'update' | 'delete'

/** Why a command refuses. `internal` is told as a failure of the server. spec/rest-admin.md §4 */
export type CommandErrorKind = 'bad_request' | 'denied' | 'not_found' | 'not_implemented' | 'internal'

/** Ends a command with a text for whoever asked. */
export class CommandError extends Error {
  override name = 'CommandError'
  constructor(
    readonly kind: CommandErrorKind,
    text = '',
  ) {
    super(text)
  }
}

type Arguments = Readonly<Record<string, z.ZodType>>
type Values<Schemas extends Arguments> = { readonly [Name in keyof Schemas]: z.output<Schemas[Name]> }

/**
 * Something that an operator has the server do, in words that every front end can offer. It is a value: the REST API, the list of
 * commands and the API documents are made of it. Made with `command`, so that the types of `run` follow the schemas.
 */
export interface Command {
  /** Of its own among all commands: `list_users`. */
  readonly name: string
  /** What it is about: the first segment of its path. */
  readonly category: string
  /** The last segment of its path, if it has one. */
  readonly subcategory?: string
  readonly action: Action
  readonly description: string
  /** What it must be given, in the order of its path. Values come as JSON, or as text from a path or a query. */
  readonly arguments: Arguments
  /** What may be left out: schemas with defaults. Only what reads or deletes has some. */
  readonly optional?: Arguments
  /** Those of the arguments that name what is created or updated: they stand in the path, in this order. */
  readonly identifiers?: readonly string[]
  /** What it answers; nothing when it is left out. What creates or updates answers with a text. */
  readonly result?: z.ZodType
  /** What each kind of refusal means, for the documents. */
  readonly refusals?: Readonly<Partial<Record<CommandErrorKind, string>>>
  /** Of what was created, the last segment of its path; the result when it is left out. */
  nameOf?(given: Readonly<Record<string, unknown>>): string
  /** Nothing that the schemas refuse reaches it. Rejects with a `CommandError`, or a `StanzaError` of the operation. */
  run(services: OperationServices, given: Readonly<Record<string, unknown>>): Promise<unknown>
}

/** Ties the types of the schemas to those that `run` gets and answers. */
export function command<
  Required extends Arguments,
  Optional extends Arguments = Record<never, never>,
  Result extends z.ZodType = z.ZodVoid,
>(
  it: Omit<Command, 'arguments' | 'optional' | 'identifiers' | 'result' | 'nameOf' | 'run'> & {
    arguments: Required
    optional?: Optional
    identifiers?: readonly (keyof Required & string)[]
    result?: Result
    nameOf?(given: Values<Required> & Values<Optional>): string
    run(services: OperationServices, given: Values<Required> & Values<Optional>): Promise<z.input<Result>>
  },
): Command {
  // The cast: whoever runs it hands in what the schemas made.
  return it as unknown as Command
}

// ---- types of arguments

/** Any text. */
export const text = (description: string, example?: string) =>
  z.string().meta({ description, ...(example !== undefined && { example }) })

/** A whole number that is not negative: as JSON, or as decimal digits. */
export const count = (description: string, example?: number) =>
  z
    .union([z.int().nonnegative(), z.string().regex(/^\d{1,15}$/, 'Invalid input: expected an integer')])
    .transform(Number)
    .meta({ description, ...(example !== undefined && { example }) })

/** A domain, in the spelling in which domains are compared; one that is none stays as it is, and nobody serves it. */
export const domain = (description: string, example?: string) =>
  z
    .string()
    .transform(value => Jid.parse(value)?.text ?? value)
    .meta({ description, ...(example !== undefined && { example }) })

/** A JID; refused as `Invalid jid: …`. */
export const jid = (description: string, example?: string) =>
  z
    .string()
    .transform((value, context) => {
      const found = Jid.parse(value)
      if (found !== undefined) return found
      context.issues.push({ code: 'custom', message: invalidJid(value), input: value })
      return z.NEVER
    })
    .meta({ description, ...(example !== undefined && { example }) })

/** What is said of a JID that is none. Of a long one, its start: nobody gets back megabytes. */
export const invalidJid = (value: string) => `Invalid jid: ${value.slice(0, 200)}`
