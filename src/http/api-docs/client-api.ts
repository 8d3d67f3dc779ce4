import { clientApiPaths } from '../../config/listen-http.js'
import type { OperationServices } from '../../operations/services.js'
import { clientApiMakers } from '../client-api/makers.js'
import { eventsDescription, eventsPath } from './events.js'
import { openApiDocument } from './openapi.js'
import { type MountedApi, tooManyGuesses } from './operations.js'
import type { JsonSchema } from './schemas.js'

/** The document of the whole client API, at the paths where it is mounted usually. D-4 */
export function clientApiDocument(): JsonSchema {
  return openApiDocument([...usualClientApi(), { path: eventsPath, description: eventsDescription }], {
    title: 'Client API of Meerkat',
    description: 'What an account may do by HTTP with its own credentials.',
    user: 'The JID and the password of the account.',
    more: tooManyGuesses,
  })
}

/** The handlers, made for nobody: what they say of themselves is all that is asked of them. */
function usualClientApi(): MountedApi[] {
  const nobody = {} as OperationServices // a maker touches nothing of it before a request: ../rest/README.md
  const types = Object.keys(clientApiMakers) as (keyof typeof clientApiMakers)[] // Object.keys forgets the literal type
  return types.map(type => ({
    path: clientApiPaths[type],
    description: clientApiMakers[type](nobody).description,
  }))
}
