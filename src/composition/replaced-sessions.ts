import { TransportAlarm } from '../actors/alarm.js'
import { Connection } from '../actors/connection.js'
import { configFor } from '../config/for-host.js'
import type { Session } from '../sessions/session.js'
import type { Base } from './base.js'

/** Warns when a session that was replaced lives on. `general.replaced_wait_timeout` */
export function watchReplaced({ config, clock, emit, runtime }: Base, session: Session): void {
  const ms = configFor(config, session.jid.domain).general.replaced_wait_timeout
  emit('session.replaced', { jid: session.jid.text })
  const alarm = new TransportAlarm(runtime.deadlines, {
    timedOut() {
      if (session instanceof Connection && !session.isStopping) emit('session.lingering', { jid: session.jid.text, ms })
    },
  })
  alarm.arm(0, clock.now() + ms)
}
