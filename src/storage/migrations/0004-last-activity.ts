import type { Migration } from './migration.js'

/** When an account was last connected. XEP-0012 */
export const lastActivity: Migration = {
  name: '0004-last-activity',
  sqlite: `
    CREATE TABLE last_activity (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      at       INTEGER NOT NULL, -- milliseconds since 1970
      status   TEXT NOT NULL,    -- of the last unavailable presence, '' for none
      PRIMARY KEY (host, username)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE last_activity (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      at       bigint NOT NULL, -- milliseconds since 1970
      status   text NOT NULL,   -- of the last unavailable presence, '' for none
      PRIMARY KEY (host, username)
    );
  `,
}
