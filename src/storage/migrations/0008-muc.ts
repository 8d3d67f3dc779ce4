import type { Migration } from './migration.js'

/** Rooms of multi-user chat, and how users stand to them. XEP-0045 §5.2 */
export const muc: Migration = {
  name: '0008-muc',
  sqlite: `
    CREATE TABLE muc_rooms (
      service       TEXT NOT NULL,
      room          TEXT NOT NULL, -- the localpart
      name          TEXT NOT NULL, -- shown in service discovery
      is_public     INTEGER NOT NULL, -- 0 or 1
      is_persistent INTEGER NOT NULL, -- 0: it ends with the server at the latest
      configuration TEXT NOT NULL, -- a JSON object
      subject       TEXT NOT NULL, -- a JSON object; '' for none
      history       TEXT NOT NULL, -- a JSON array, written when the room comes to rest
      PRIMARY KEY (service, room)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX muc_rooms_public ON muc_rooms (service, room, name) WHERE is_public = 1;
    CREATE INDEX muc_rooms_temporary ON muc_rooms (service, room) WHERE is_persistent = 0;

    CREATE TABLE muc_affiliations (
      service     TEXT NOT NULL,
      room        TEXT NOT NULL,
      jid         TEXT NOT NULL, -- bare
      affiliation TEXT NOT NULL CHECK (affiliation IN ('owner', 'admin', 'member', 'outcast', 'none')),
      nick        TEXT NOT NULL, -- that the user has registered; '' for none
      reason      TEXT NOT NULL, -- '' for none
      PRIMARY KEY (service, room, jid)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX muc_affiliations_by_jid ON muc_affiliations (service, jid, room);
  `,
  postgres: `
    CREATE TABLE muc_rooms (
      service       text COLLATE "C" NOT NULL,
      room          text COLLATE "C" NOT NULL, -- the localpart
      name          text NOT NULL, -- shown in service discovery
      is_public     integer NOT NULL, -- 0 or 1
      is_persistent integer NOT NULL, -- 0: it ends with the server at the latest
      configuration text NOT NULL, -- a JSON object
      subject       text NOT NULL, -- a JSON object; '' for none
      history       text NOT NULL, -- a JSON array, written when the room comes to rest
      PRIMARY KEY (service, room)
    );
    CREATE INDEX muc_rooms_public ON muc_rooms (service, room) WHERE is_public = 1;
    CREATE INDEX muc_rooms_temporary ON muc_rooms (service, room) WHERE is_persistent = 0;

    -- Hashed because a row of an index holds some 2 700 bytes.
    CREATE TABLE muc_affiliations (
      service     text COLLATE "C" NOT NULL,
      room        text COLLATE "C" NOT NULL,
      jid         text COLLATE "C" NOT NULL, -- bare
      affiliation text NOT NULL CHECK (affiliation IN ('owner', 'admin', 'member', 'outcast', 'none')),
      nick        text NOT NULL, -- that the user has registered; '' for none
      reason      text NOT NULL -- '' for none
    );
    CREATE UNIQUE INDEX muc_affiliations_key ON muc_affiliations (service, room, md5(jid));
    CREATE INDEX muc_affiliations_by_jid ON muc_affiliations (service, md5(jid), room);
  `,
}
