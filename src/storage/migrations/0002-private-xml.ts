import type { Migration } from './migration.js'

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
  postgres: `
    CREATE TABLE private_xml (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      ns       text COLLATE "C" NOT NULL,
      name     text COLLATE "C" NOT NULL, -- of the fragment's root element
      xml      text NOT NULL
    );
    -- Hashed because a row of an index holds some 2 700 bytes; a name has no space in it.
    CREATE UNIQUE INDEX private_xml_key ON private_xml (host, username, md5(name || ' ' || ns));
  `,
}
