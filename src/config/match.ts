import { isTable, type Path } from './schema.js'

/** A pattern of paths: keys with dots between them; `*` is any key or index. */
export type PathPattern = string

/** A row of a table that says something about options: where, and for which values (all, when it does not say). */
export interface Row {
  at: PathPattern
  when?: (value: unknown) => boolean
}

/** Every place of `data` that a row is about, outer places first. */
export function* matches<R extends Row>(
  rows: readonly R[],
  data: unknown,
): Generator<{ row: R; path: Path; value: unknown }> {
  const split = rows.map(row => ({ row, keys: row.at.split('.') }))
  yield* walk(split, data, [])
}

function* walk<R extends Row>(
  rows: readonly { row: R; keys: string[] }[],
  value: unknown,
  path: Path,
): Generator<{ row: R; path: Path; value: unknown }> {
  for (const { row, keys } of rows) {
    if (keys.length === path.length && (row.when?.(value) ?? true)) yield { row, path, value }
  }
  if (!Array.isArray(value) && !isTable(value)) return
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, at) => [at, item])
    : Object.entries(value)
  for (const [key, item] of entries) {
    const deeper = rows.filter(
      ({ keys }) => keys.length > path.length && ['*', String(key)].includes(keys[path.length]!),
    )
    if (deeper.length > 0) yield* walk(deeper, item, [...path, key])
  }
}
