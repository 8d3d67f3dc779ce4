/** One step of the schema. It never changes once released: a correction is another step. */
export interface Migration {
  name: string
  /** SQL for SQLite; run once, in a transaction. */
  sqlite: string
  /** The same for PostgreSQL. Names and keys are `COLLATE "C"`: their order is that of their bytes, as in SQLite. */
  postgres: string
}
