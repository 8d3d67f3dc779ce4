import { z } from 'zod'

/*
 * Modules that are not built. A name that is here is known: `not_supported_yet` or `not_supported`; any other name is a mistake.
 * A module that is built leaves this file and declares its options beside itself. spec/listeners.md §2.8
 */

const unread = z.looseObject({}).meta({ description: 'Not built; its options are not looked at.', example: {} })

/** Modules that are built later. */
export const laterModules: Readonly<Record<string, z.ZodType>> = {
  mod_auth_token: unread,
  mod_event_pusher: unread,
  mod_http_upload: unread,
  mod_inbox: unread,
  mod_keystore: unread,
  mod_muc_log: unread,
  mod_offline_stub: unread,
  mod_pubsub: unread,
  mod_push_service_mongoosepush: unread,
}

/** Modules that only the reference server has. */
export const foreignModules: Readonly<Record<string, z.ZodType>> = {
  mod_aws_sns: unread,
  mod_global_distrib: unread,
  mod_jingle_sip: unread,
  mod_mam: unread,
  mod_revproxy: unread,
  mod_shared_roster_ldap: unread,
}
