import type { Migration } from './migration.js'

/** Accounts that are gone here, and still have to leave others: rooms that they are in, rosters that they stand in. */
export const accountRemovals: Migration = {
  name: '0009-account-removals',
  sqlite: `
    CREATE TABLE account_removals (
      host      TEXT NOT NULL,
      localpart TEXT NOT NULL,
      items     TEXT NOT NULL, -- of the roster: a JSON array of address, subscription and flags
      requests  TEXT NOT NULL, -- for subscription: a JSON array of addresses
      PRIMARY KEY (host, localpart)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE account_removals (
      host      text COLLATE "C" NOT NULL,
      localpart text COLLATE "C" NOT NULL,
      items     text NOT NULL, -- of the roster: a JSON array of address, subscription and flags
      requests  text NOT NULL, -- for subscription: a JSON array of addresses
      PRIMARY KEY (host, localpart)
    );
  `,
}
