import { Jid } from '../protocols/jid.js'
import type { Routing } from '../routing/services.js'
import { formerRoster } from '../sessions/rosters.js'
import type { AccountRemoval, Store } from '../storage/store.js'
import type { Base } from './base.js'

/*
 * An account goes from our store in one transaction; from rooms, and from the rosters of others, it goes after that, step by step. What a
 * crash or an outage of the store leaves undone is done here.
 */

/** Removals looked at in one request. */
const pageSize = 100
/** Milliseconds between two looks. What is still there at the second one is not just under way. */
const lookMs = 60_000

/** Finishes what was interrupted before this start, and sees to it that later removals are finished. The modules run already. */
export async function startRemovals(
  { clock, later, onBug }: Pick<Base, 'clock' | 'later' | 'onBug'>,
  store: Pick<Store, 'accounts'>,
  routing: Routing,
): Promise<void> {
  for (const host of routing.hosts) {
    // Behind those of the modules: one of them that fails leaves the removal unfinished.
    const finish = ({ local }: Jid) => store.accounts.finishRemoval(local, host)
    later(routing.hooksOf(host).accountRemoved.observe(finish))
  }
  let before = new Set<string>()
  const look = async (isDue: (account: string) => boolean) => {
    const seen = new Set<string>()
    for await (const [account, removal] of unfinished(store, routing.hosts)) {
      seen.add(account.text)
      if (!isDue(account.text)) continue
      await complete(routing, account, removal).catch(onBug)
    }
    before = seen
  }
  let cancel = () => {}
  let isStopped = false
  const lookAgain = () => {
    if (isStopped) return
    cancel = clock.after(lookMs, () => {
      // A store that is down is told of elsewhere, and asked again.
      look(account => before.has(account))
        .catch(() => undefined)
        .finally(lookAgain)
    })
  }
  later(() => {
    isStopped = true
    cancel()
  })
  await look(() => true)
  lookAgain()
}

async function* unfinished(
  store: Pick<Store, 'accounts'>,
  hosts: readonly string[],
): AsyncGenerator<[Jid, AccountRemoval]> {
  for (const host of hosts) {
    for (let after = ''; ; ) {
      const page = await store.accounts.unfinishedRemovals(host, { after, limit: pageSize })
      for (const removal of page) yield [Jid.of(removal.user, host)!, removal] // it was an account
      if (page.length < pageSize) break
      after = page.at(-1)!.user
    }
  }
}

/** What `removeAccount` does behind the store, once more from the start. */
async function complete(routing: Routing, account: Jid, removal: AccountRemoval): Promise<void> {
  await routing.subscriptions.leaveAll(account, formerRoster(removal))
  await routing.hooksOf(account.domain).accountRemoved.emit(account)
}
