import type { Migration } from './migration.js'

/** Rooms of light group chat, who is in them, and who is not to be invited. spec/muc-light.md §3 */
export const mucLight: Migration = {
  name: '0007-muc-light',
  sqlite: `
    CREATE TABLE muc_light_rooms (
      service       TEXT NOT NULL,
      room          TEXT NOT NULL, -- the localpart
      version       TEXT NOT NULL,
      configuration TEXT NOT NULL, -- a JSON object
      PRIMARY KEY (service, room)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE muc_light_occupants (
      service  TEXT NOT NULL,
      room     TEXT NOT NULL,
      jid      TEXT NOT NULL,
      is_owner INTEGER NOT NULL, -- 0 or 1
      PRIMARY KEY (service, room, jid)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX muc_light_occupants_by_jid ON muc_light_occupants (service, jid, room);

    CREATE TABLE muc_light_blocks (
      service     TEXT NOT NULL,
      jid         TEXT NOT NULL, -- who blocks
      kind        TEXT NOT NULL CHECK (kind IN ('room', 'user')),
      blocked_jid TEXT NOT NULL,
      PRIMARY KEY (service, jid, kind, blocked_jid)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE muc_light_rooms (
      service       text COLLATE "C" NOT NULL,
      room          text COLLATE "C" NOT NULL, -- the localpart
      version       text NOT NULL,
      configuration text NOT NULL, -- a JSON object
      PRIMARY KEY (service, room)
    );

    -- Hashed because a row of an index holds some 2 700 bytes.
    CREATE TABLE muc_light_occupants (
      service  text COLLATE "C" NOT NULL,
      room     text COLLATE "C" NOT NULL,
      jid      text COLLATE "C" NOT NULL,
      is_owner integer NOT NULL -- 0 or 1
    );
    CREATE UNIQUE INDEX muc_light_occupants_key ON muc_light_occupants (service, room, md5(jid));
    CREATE INDEX muc_light_occupants_by_jid ON muc_light_occupants (service, md5(jid), room);

    CREATE TABLE muc_light_blocks (
      service     text COLLATE "C" NOT NULL,
      jid         text COLLATE "C" NOT NULL, -- who blocks
      kind        text COLLATE "C" NOT NULL CHECK (kind IN ('room', 'user')),
      blocked_jid text COLLATE "C" NOT NULL
    );
    CREATE UNIQUE INDEX muc_light_blocks_key ON muc_light_blocks (service, md5(jid), kind, md5(blocked_jid));
  `,
}
