import type { Migration } from './index.js'

/** Fragments of XML that clients keep for themselves. XEP-0049 */
export const privateXml: Migration = {
  name: '0002-private-xml',
  sqlite: `
    CREATE TABLE private_xml (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      ns       TEXT NOT NULL,
      name     TEXT NOT NULL, -- of the fragment's root element
      xml      TEXT NOT NULL,
      PRIMARY KEY (host, username, ns, name)
    ) STRICT, WITHOUT ROWID;
  `,
}
