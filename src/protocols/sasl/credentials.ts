/** The hash of a SCRAM mechanism, by its name in the configuration. */
export type ScramHash = 'sha' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** What SCRAM needs to check a proof without knowing the password. RFC 5802 §3 */
export interface ScramKeys {
  salt: Buffer
  iterations: number
  storedKey: Buffer
  serverKey: Buffer
}

/** What is stored of an account's password. */
export interface Credentials {
  scram: Partial<Record<ScramHash, ScramKeys>>
  /** Only with `auth.password.format = "plain"`. */
  password?: string
}
