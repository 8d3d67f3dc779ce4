import type { Context } from 'koa'
import type { Asked } from '../app.js'
import type { OperatorLogin } from '../operator-login.js'
import { isThisMachine } from '../this-machine.js'

/*
 * Who may use the admin API. spec/rest-admin.md §2
 */

/** Throws `Refused` unless the request bears the credentials; where none are wanted everybody passes. A-3 */
export function authorizeAdministrator(ctx: Context, asked: Asked, login: OperatorLogin | undefined): undefined {
  login?.check(ctx, asked.client.address, 'mongooseim')
}

/** Whether a handler without credentials answers to a name: one that its configuration has, or one of this machine. HC-4 */
export const isNamedRightly = (host: string, configured: string): boolean =>
  isThisMachine(host) || host === configured.toLowerCase()

const corsHeaders = {
  'access-control-allow-methods': 'GET, OPTIONS, PUT, POST, DELETE',
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'Content-Type',
}

/**
 * What OPTIONS answers with. Where no credentials are wanted, pages of other sites are let do nothing: their requests would come from this
 * machine as well. A-4, HC-4
 */
export function preflightHeaders(ctx: Context, login: OperatorLogin | undefined): Readonly<Record<string, string>> {
  if (ctx.method !== 'OPTIONS' || ctx.status !== 200) return {}
  return login !== undefined || isOwnPage(ctx.get('origin')) ? corsHeaders : {}
}

const isOwnPage = (origin: string) => origin === '' || (URL.canParse(origin) && isThisMachine(new URL(origin).hostname))
