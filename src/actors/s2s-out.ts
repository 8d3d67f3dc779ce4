import type { DomainPair } from '../protocols/dialback.js'
import { StanzaError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Question } from '../protocols/stream/s2s-out.js'
import { OutgoingServer, type PairServices } from './outgoing-server.js'
import type { Supervisor } from './root.js'
import { actorName, spawnActor } from './runtime/index.js'
import type { LentLoss, LentStream } from './server-connection.js'
import { connection as connectionPolicy } from './supervision.js'

/** Pairs of domains at one time: stanzas to ever new domains, and questions about them, come to an end here. */
const MOST_PAIRS = 10_000

/** The actors of the branch `s2s-out`, by the pair of domains that each is for. */
export class OutgoingServers {
  private readonly byPair = new Map<string, OutgoingServer>()

  constructor(
    private readonly branch: Supervisor,
    private readonly services: Omit<PairServices, 'ended'>,
  ) {}

  /** Takes a stanza for another domain. Throws the `StanzaError` for its sender when there is no way. */
  send(pair: DomainPair, stanza: Stanza): void {
    const server = this.serverOf(pair)
    if (server === undefined) throw new StanzaError('resource-constraint', 'too many other servers')
    server.send(stanza)
  }

  /** Asks the server of the question's domain whether a key is its own; `answer` is called once. */
  verify(question: Question, answer: (isValid: boolean) => void): void {
    const { originating, receiving } = question.pair
    const server = this.serverOf({ originating: receiving, receiving: originating })
    if (server === undefined) answer(false)
    else server.ask(question, answer)
  }

  /** What the pair sends may go on a stream that the other server opened, until it is given back. XEP-0288 */
  lend(pair: DomainPair, stream: LentStream): void {
    this.serverOf(pair)?.lent(stream)
  }

  giveBack(pair: DomainPair, stream: LentStream, loss: LentLoss): void {
    this.byPair.get(keyOf(pair))?.givenBack(stream, loss)
  }

  /** Ends the stream of the pair, if there is one. */
  distrust(pair: DomainPair): void {
    this.byPair.get(keyOf(pair))?.tell({ type: 'distrust' })
  }

  private serverOf(pair: DomainPair): OutgoingServer | undefined {
    const key = keyOf(pair)
    const known = this.byPair.get(key)
    if (known !== undefined && !known.isStopping) return known
    if (this.byPair.size >= MOST_PAIRS || this.branch.isStopping) return undefined
    const services: PairServices = {
      ...this.services,
      ended: server => {
        if (this.byPair.get(key) === server) this.byPair.delete(key)
      },
    }
    const name = `${actorName(pair.originating)},${actorName(pair.receiving)}`
    const server = spawnActor(this.branch, init => new OutgoingServer(init, pair, services), {
      name,
      policy: connectionPolicy,
    })
    this.byPair.set(key, server)
    return server
  }
}

const keyOf = ({ originating, receiving }: DomainPair) => `${originating} ${receiving}`
