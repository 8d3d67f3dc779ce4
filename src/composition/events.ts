import { randomUUID } from 'node:crypto'
import { EventStream, type EventStreamServices } from '../actors/event-stream.js'
import type { HttpKeepers } from '../actors/http-acceptor.js'
import type { HttpHandler } from '../http/app.js'
import { createEventsHandler } from '../http/client-api/events.js'
import type { OperationServices } from '../operations/services.js'
import { Jid } from '../protocols/jid.js'
import { closeSession, openSession, reroute } from '../routing/session-lifecycle.js'
import type { Base } from './base.js'
import { streamServices } from './stream.js'

/** `mongoose_client_api_sse`: each stream of events is an actor below the acceptor that has its connection. */
export function eventsHandler(
  base: Base,
  listener: string,
  compress: boolean,
  operations: OperationServices,
  keepers: HttpKeepers,
): HttpHandler {
  const { clock, config } = base
  const { routing } = operations
  const services: EventStreamServices = {
    ...streamServices(base, listener, undefined),
    wall: () => clock.wall(),
    open: session => openSession(routing, session),
    leave: (session, status) => closeSession(routing, session, status),
    reroute: (session, stanza) => reroute(routing, session, stanza),
  }
  return createEventsHandler(operations, {
    compress,
    open({ account, client, request, refuse, ...response }) {
      const jid = Jid.of(account.local, account.domain, `sse-${randomUUID()}`)! // S-5: of a JID and characters that need no preparation
      keepers.begin(request.socket, {
        type: 'stream',
        mailboxLimit: config.general.max_fsm_queue,
        make: init => new EventStream(init, jid, client, response, services),
        refuse,
      })
    },
  })
}
