import type { Migration } from './migration.js'

/** Whom an account lets through. XEP-0016, XEP-0191 */
export const privacyLists: Migration = {
  name: '0005-privacy-lists',
  sqlite: `
    CREATE TABLE privacy_lists (
      host       TEXT NOT NULL,
      username   TEXT NOT NULL,
      name       TEXT NOT NULL,
      is_default INTEGER NOT NULL, -- 1 for at most one list of an account
      items      TEXT NOT NULL,    -- a JSON array: read and written only as a whole
      PRIMARY KEY (host, username, name)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE privacy_lists (
      host       text COLLATE "C" NOT NULL,
      username   text COLLATE "C" NOT NULL,
      name       text COLLATE "C" NOT NULL,
      is_default integer NOT NULL, -- 1 for at most one list of an account
      items      text NOT NULL     -- a JSON array: read and written only as a whole
    );
    -- Hashed because a row of an index holds some 2 700 bytes.
    CREATE UNIQUE INDEX privacy_lists_key ON privacy_lists (host, username, md5(name));
  `,
}
