/*
 * `meerkat-xmpp/client`: the REST APIs, typed. It runs in Node.js and in browsers.
 */
import type { Operations as AdminOperations } from './admin-operations.js'
import { eventsOf } from './events.js'
import type { Operations } from './operations.js'
import { type Credentials, createRequest, type Request, type Sending, send } from './request.js'

export type * as AdminApi from './admin-operations.js'
export type * as ClientApi from './operations.js'
export { type AnswerOf, type Credentials, type InputOf, type Request, RestError, type Sending } from './request.js'

/** What comes for an account. */
export type ServerEvent = Operations['GET /api/sse']['answers'][200]

/** What an account may do. */
export interface Client {
  /** Sends one request. Rejects with a `RestError` for an answer that is no success. */
  readonly request: Request<Operations>
  /** What comes for the account while it reads: the stream is a session of XMPP. Ends with the stream; `break` closes it. */
  events(sending?: Sending): AsyncGenerator<ServerEvent, void>
}

/**
 * Asks the client API as an account.
 * @param base the origin of the listener, such as `https://chat.example:5443`
 * @param account its JID and its password
 */
export function createClient(base: string | URL, account: Credentials): Client {
  return {
    request: createRequest<Operations>(base, account),
    async *events(sending = {}) {
      const { body } = await send(base, account, 'GET /api/sse', sending)
      if (body !== null) yield* eventsOf<ServerEvent>(body)
    },
  }
}

/** What an administrator may do. */
export interface AdminClient {
  /** Sends one request. Rejects with a `RestError` for an answer that is no success. */
  readonly request: Request<AdminOperations>
}

/**
 * Asks the admin API.
 * @param administrator as the listener has them; none for a listener that asks for none
 */
export function createAdminClient(base: string | URL, administrator?: Credentials): AdminClient {
  return { request: createRequest<AdminOperations>(base, administrator) }
}
