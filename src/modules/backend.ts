import { z } from 'zod'
import type { Unsupported } from './module.js'

/** Where MongooseIM keeps a module's data. `mnesia` and `rdbms` both mean the one store. */
export const backend = () =>
  z
    .enum(['mnesia', 'rdbms', 'riak'])
    .default('mnesia')
    .meta({ description: 'Both `mnesia` and `rdbms` mean the one store of the server.', example: 'rdbms' })

/** The bucket names of the store that we do not have. */
export const riak = (...names: string[]) =>
  z
    .strictObject(Object.fromEntries(names.map(name => [name, z.string().min(1).optional()])))
    .optional()
    .meta({ description: 'Names of Riak buckets; there is no Riak store.' })

export function unsupportedBackend(options: { backend: string; riak?: object | undefined }): Unsupported[] {
  const found: Unsupported[] = []
  if (options.backend === 'riak')
    found.push({ path: ['backend'], code: 'not_supported', message: 'there is no Riak store' })
  if (options.riak) found.push({ path: ['riak'], code: 'not_supported', message: 'there is no Riak store' })
  return found
}

/** The options that privacy lists and the block list share, as they share their lists. */
export const privacyOptions = () => ({
  backend: backend(),
  riak: riak('defaults_bucket_type', 'names_bucket_type', 'bucket_type'),
})

export const unsupportedPrivacy = unsupportedBackend
