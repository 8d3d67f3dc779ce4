import type { Migration } from './migration.js'

/** Message archives. XEP-0313, XEP-0441 */
export const archive: Migration = {
  name: '0006-archive',
  sqlite: `
    CREATE TABLE archive (
      archive  INTEGER PRIMARY KEY,
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      UNIQUE (host, username)
    ) STRICT;

    -- Appended to, whoever's message it is, and with few bytes in the indexes: what costs is the number of pages that change.
    CREATE TABLE archived_messages (
      message      INTEGER PRIMARY KEY,
      archive      INTEGER NOT NULL,
      time         INTEGER NOT NULL, -- microseconds since 1970: the beginning of the id, and in its order
      secret       TEXT NOT NULL,    -- the rest of the id
      contact_hash INTEGER NOT NULL,
      contact      TEXT NOT NULL,    -- the other side's bare JID
      resource     TEXT NOT NULL,    -- the other side's, '' for none
      xml          BLOB NOT NULL     -- UTF-8
    ) STRICT;
    CREATE INDEX archived_messages_by_time ON archived_messages (archive, time);
    CREATE INDEX archived_messages_by_contact ON archived_messages (archive, contact_hash, time);
    CREATE TRIGGER archive_removed AFTER DELETE ON archive BEGIN
      DELETE FROM archived_messages WHERE archive = OLD.archive;
    END;

    CREATE TABLE archive_preferences (
      host     TEXT NOT NULL,
      username TEXT NOT NULL,
      standard TEXT NOT NULL CHECK (standard IN ('always', 'never', 'roster')),
      always   TEXT NOT NULL, -- a JSON array of JIDs, as the next
      never    TEXT NOT NULL,
      PRIMARY KEY (host, username)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE archive (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      id       text COLLATE "C" NOT NULL, -- begins with the time: its order is that of arrival
      contact  text COLLATE "C" NOT NULL, -- the other side's bare JID
      resource text COLLATE "C" NOT NULL, -- the other side's, '' for none
      xml      bytea NOT NULL,            -- UTF-8
      PRIMARY KEY (host, username, id)
    );
    -- Hashed because a row of an index holds some 2 700 bytes.
    CREATE INDEX archive_by_contact ON archive (host, username, md5(contact), id);

    CREATE TABLE archive_preferences (
      host     text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      standard text NOT NULL CHECK (standard IN ('always', 'never', 'roster')),
      always   text NOT NULL, -- a JSON array of JIDs, as the next
      never    text NOT NULL,
      PRIMARY KEY (host, username)
    );
  `,
}
