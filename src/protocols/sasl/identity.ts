/** Where EXTERNAL finds the identity: `auth.sasl_external`. */
export type IdentitySource = 'standard' | 'common_name' | 'auth_id'

/** What a client's certificate says of who it is. */
export interface CertificateIdentity {
  /** The xmppAddr entries of its subjectAltName, as they stand there. RFC 6120 §13.7.1.4 */
  readonly addresses: readonly string[]
  /** The common name of its subject; undefined when it has none or several. */
  readonly commonName: string | undefined
}
