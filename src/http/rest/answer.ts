/** What a REST operation answers. */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** A value as JSON, or a text; neither: no body. */
  readonly json?: unknown
  readonly text?: string
}

export const noContent: Answer = { status: 204 }

/** 200 with the value as JSON. */
export const ok = (json: unknown): Answer => ({ status: 200, json })

/** Ends a request with a status that is no success; thrown from anywhere in an operation. */
export class Refused extends Error {
  override name = 'Refused'
  constructor(
    readonly status: number,
    /** What the body says; '' = nothing. */
    readonly text = '',
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(text === '' ? `status ${status}` : text)
  }
}
