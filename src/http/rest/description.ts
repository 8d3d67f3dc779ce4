import type { HttpHandler } from '../app.js'
import type { Method, Operation } from './resource.js'

/*
 * What a handler says of itself for the API documents. They are made of this and of the schemas that validate its requests. spec/api-docs.md §2
 */

/** Of an operation, what the documents tell. */
export type DescribedOperation = Pick<
  Operation<unknown>,
  'description' | 'responses' | 'body' | 'isAnyType' | 'query' | 'wrongBody'
>

/** One form of the path that a handler is mounted at, and what can be asked there. */
export interface PathVariant {
  /** The names that the path binds in this form, in any order: for `/api/rooms/[:id]` either none or `id`. */
  readonly binds: readonly string[]
  readonly operations: Readonly<Partial<Record<Method, DescribedOperation>>>
}

/** The documentation of one handler type. */
export interface ApiDescription {
  /** The heading that its operations stand under. D-7 */
  readonly tag: string
  /** What the names of its path mean. */
  readonly parameters?: Readonly<Record<string, string>>
  /** Forms of the path that are not among these are served all the same and not documented. */
  readonly variants: readonly PathVariant[]
}

/** A handler that the API documents tell of. */
export interface DescribedHandler extends HttpHandler {
  readonly description: ApiDescription
}

/** Ties a handler to what the API documents say of it. */
export function described(handler: HttpHandler, description: ApiDescription): DescribedHandler {
  return Object.assign(handler, { description })
}
