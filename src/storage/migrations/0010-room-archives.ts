import type { Migration } from './migration.js'

/** Archives of rooms beside those of accounts: the owner is the room's localpart on the domain of its service. XEP-0313 §3.1 */
export const roomArchives: Migration = {
  name: '0010-room-archives',
  sqlite: `
    ALTER TABLE archived_messages ADD COLUMN nick TEXT; -- who said it, as the room calls them; NULL in the archive of an account
    CREATE INDEX archived_messages_by_nick ON archived_messages (archive, nick, time) WHERE nick IS NOT NULL;
  `,
  postgres: `
    ALTER TABLE archive ADD COLUMN nick text COLLATE "C"; -- who said it, as the room calls them; NULL in the archive of an account
    -- Hashed because a row of an index holds some 2 700 bytes.
    CREATE INDEX archive_by_nick ON archive (host, username, md5(nick), id) WHERE nick IS NOT NULL;
  `,
}
