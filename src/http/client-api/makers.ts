import type { clientApiPaths } from '../../config/listen-http.js'
import type { OperationServices } from '../../operations/services.js'
import type { DescribedHandler } from '../rest/description.js'
import { createContactsHandler } from './contacts.js'
import { createMessagesHandler } from './messages.js'
import { createRoomsHandler } from './rooms.js'
import { createRoomConfigHandler } from './rooms-config.js'
import { createRoomMessagesHandler } from './rooms-messages.js'
import { createRoomUsersHandler } from './rooms-users.js'

/** The handlers of the client REST API by their types */
export const clientApiMakers = {
  mongoose_client_api_messages: createMessagesHandler,
  mongoose_client_api_contacts: createContactsHandler,
  mongoose_client_api_rooms: createRoomsHandler,
  mongoose_client_api_rooms_config: createRoomConfigHandler,
  mongoose_client_api_rooms_users: createRoomUsersHandler,
  mongoose_client_api_rooms_messages: createRoomMessagesHandler,
} satisfies Partial<Record<keyof typeof clientApiPaths, (services: OperationServices) => DescribedHandler>>
