import type { Migration } from './index.js'

/**
 * Accounts, rosters and offline messages, keyed by (host, username). Only the SCRAM keys refer to `accounts`: a user whom
 * another method vouches for (LDAP, JWT) has a roster without an account here.
 */
export const accounts: Migration = {
  name: '0001-accounts',
  sqlite: `
    CREATE TABLE meta (
      key   TEXT NOT NULL PRIMARY KEY,
      value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE accounts (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      password TEXT,             -- only with auth.password.format = "plain"
      PRIMARY KEY (host, username)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE scram_keys (
      host       TEXT NOT NULL,
      username   TEXT NOT NULL,
      hash       TEXT NOT NULL,
      salt       BLOB NOT NULL,
      iterations INTEGER NOT NULL,
      stored_key BLOB NOT NULL,
      server_key BLOB NOT NULL,
      PRIMARY KEY (host, username, hash),
      FOREIGN KEY (host, username) REFERENCES accounts (host, username) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;

    -- Every change takes the next version of them all, and AUTOINCREMENT never gives one twice: an account that is made anew
    -- must not repeat a version under which a client has kept the old account's roster.
    CREATE TABLE roster_versions (
      version  INTEGER PRIMARY KEY AUTOINCREMENT,
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      UNIQUE (host, username)
    ) STRICT;

    CREATE TABLE roster_items (
      host         TEXT NOT NULL,
      username     TEXT NOT NULL,
      jid          TEXT NOT NULL,
      name         TEXT NOT NULL,
      subscription TEXT NOT NULL CHECK (subscription IN ('none', 'to', 'from', 'both')),
      flags        INTEGER NOT NULL, -- 1 ask, 2 approved
      group_names  TEXT NOT NULL,    -- a JSON array, or '' for none: read and written only as a whole
      PRIMARY KEY (host, username, jid)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE subscription_requests (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      jid      TEXT NOT NULL,
      xml      TEXT NOT NULL,
      PRIMARY KEY (host, username, jid)
    ) STRICT, WITHOUT ROWID;

    -- AUTOINCREMENT: an id never comes twice, so that removing "up to 7" late removes nothing newer.
    CREATE TABLE offline_messages (
      id       INTEGER PRIMARY KEY AUTOINCREMENT,
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      at       INTEGER NOT NULL, -- milliseconds since 1970
      xml      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX offline_messages_by_account ON offline_messages (host, username, id);
  `,
}
