import type { StreamError } from '../errors.js'
import { Framer, type ItemReader, type Limits } from '../xml/framer.js'
import { type Framing, tcpFraming } from './framing.js'

/** A stream in the bodies of BOSH, whose header and end are attributes of theirs; of one session. XEP-0206 */
export class BoshFraming implements Framing {
  readonly close = ''
  /** What the stream ended with. */
  failure: StreamError | undefined = undefined
  /** Something has the prefix `stream`, which its body must declare. */
  usesPrefix = false

  reader(limits: Limits): ItemReader {
    return new RestartableFramer(limits)
  }

  open(): string {
    return ''
  }

  features(children: string): string {
    this.usesPrefix = true
    return tcpFraming.features(children)
  }

  error(error: StreamError, lang: string): string {
    this.usesPrefix = true
    this.failure = error
    return tcpFraming.error(error, lang)
  }
}

/** A stream begins anew wherever a client asks for it; whether it may is for others to say. */
class RestartableFramer extends Framer {
  override feed(chunk: Buffer): void {
    // Only a header begins with a declaration, and it has bytes of its own.
    if (this.isIdle && chunk[0] === 0x3c && chunk[1] === 0x3f) this.reset()
    super.feed(chunk)
  }
}
