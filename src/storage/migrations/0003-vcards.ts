import type { Migration } from './migration.js'

/** vCards (XEP-0054), and what of them the directory searches (XEP-0055). */
export const vcards: Migration = {
  name: '0003-vcards',
  sqlite: `
    CREATE TABLE vcards (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      xml      TEXT NOT NULL,
      PRIMARY KEY (host, username)
    ) STRICT;

    -- One row per field that is not empty.
    CREATE TABLE vcard_fields (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      field    TEXT NOT NULL,
      value    TEXT NOT NULL,
      folded   TEXT NOT NULL, -- the value without regard to case
      PRIMARY KEY (host, username, field)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX vcard_fields_by_value ON vcard_fields (host, field, folded);
  `,
  postgres: `
    CREATE TABLE vcards (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      xml      text NOT NULL,
      PRIMARY KEY (host, username)
    );

    -- One row per field that is not empty.
    CREATE TABLE vcard_fields (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      field    text COLLATE "C" NOT NULL,
      value    text NOT NULL,
      folded   text COLLATE "C" NOT NULL, -- the value without regard to case
      PRIMARY KEY (host, username, field)
    );
    -- The beginning only, because a row of an index holds some 2 700 bytes.
    CREATE INDEX vcard_fields_by_value ON vcard_fields (host, field, left(folded, 200));
  `,
}
