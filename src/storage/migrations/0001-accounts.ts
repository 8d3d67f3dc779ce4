import type { Migration } from './migration.js'

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
  postgres: `
    CREATE TABLE meta (
      key   text COLLATE "C" PRIMARY KEY,
      value bytea NOT NULL
    );

    CREATE TABLE accounts (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      password text,             -- only with auth.password.format = "plain"
      PRIMARY KEY (host, username)
    );

    CREATE TABLE scram_keys (
      host       text COLLATE "C" NOT NULL,
      username   text COLLATE "C" NOT NULL,
      hash       text NOT NULL,
      salt       bytea NOT NULL,
      iterations integer NOT NULL,
      stored_key bytea NOT NULL,
      server_key bytea NOT NULL,
      PRIMARY KEY (host, username, hash),
      FOREIGN KEY (host, username) REFERENCES accounts (host, username) ON DELETE CASCADE
    );

    -- Every change takes the next version of them all, and an identity never gives one twice: an account that is made anew
    -- must not repeat a version under which a client has kept the old account's roster.
    CREATE TABLE roster_versions (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      version  bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
      PRIMARY KEY (host, username)
    );

    CREATE TABLE roster_items (
      host         text COLLATE "C" NOT NULL,
      username     text COLLATE "C" NOT NULL,
      jid          text COLLATE "C" NOT NULL,
      name         text NOT NULL,
      subscription text NOT NULL CHECK (subscription IN ('none', 'to', 'from', 'both')),
      flags        integer NOT NULL, -- 1 ask, 2 approved
      group_names  text NOT NULL     -- a JSON array, or '' for none: read and written only as a whole
    );
    -- A row of an index holds some 2 700 bytes, and three long parts of addresses have more: hence the hash.
    CREATE UNIQUE INDEX roster_items_key ON roster_items (host, username, md5(jid));

    CREATE TABLE subscription_requests (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      jid      text COLLATE "C" NOT NULL,
      xml      text NOT NULL
    );
    CREATE UNIQUE INDEX subscription_requests_key ON subscription_requests (host, username, md5(jid));

    -- An identity never comes twice, so that removing "up to 7" late removes nothing newer.
    CREATE TABLE offline_messages (
      id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      at       bigint NOT NULL, -- milliseconds since 1970
      xml      text NOT NULL
    );
    CREATE INDEX offline_messages_by_account ON offline_messages (host, username, id);
  `,
}
