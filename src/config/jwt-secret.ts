import type { Finding } from './problem.js'
import type { Environment } from './read-data.js'
import { isTable, valueAt } from './schema.js'

/** Puts the values of variables where `auth.jwt.secret.env` names one, also in `[[host_config]]`; a variable that is not set is a fault. */
export function resolveJwtSecrets(data: Record<string, unknown>, env: Environment): Finding[] {
  const hosts = Array.isArray(data.host_config) ? data.host_config.map((_, index) => ['host_config', index]) : []
  return [[], ...hosts].flatMap((base): Finding[] => {
    const path = [...base, 'auth', 'jwt', 'secret']
    const secret = valueAt(data, path)
    // Anything but the name of a variable alone is for the schema to judge.
    if (!isTable(secret) || typeof secret.env !== 'string' || Object.keys(secret).length !== 1) return []
    const value = env[secret.env]
    if (value === undefined || value === '') {
      const message = `the variable ${secret.env} is not set`
      return [{ path: [...path, 'env'], code: 'incorrect_value', message }]
    }
    Reflect.deleteProperty(secret, 'env')
    secret.value = value
    return []
  })
}
