/** An address of the XMPP network in prepared form. RFC 7622 */
export class Jid {
  private constructor(
    /** The localpart; '' when absent. */
    readonly local: string,
    /** The domainpart. */
    readonly domain: string,
    /** The resourcepart; '' when absent. */
    readonly resource: string,
    /** `local@domain`, or `domain`. */
    readonly bareText: string,
    /** The whole JID as text. */
    readonly text: string,
  ) {}

  /** The JID that the text names, or undefined when RFC 7622 forbids it. */
  static parse(_text: string): Jid | undefined {
    throw new Error('being written')
  }

  toString(): string {
    return this.text
  }
}
