import type { Context } from 'koa'
import { z } from 'zod'
import { readRequestBody } from '../request-body.js'
import { Refused } from '../rest/answer.js'

/*
 * What a request says, read into values; what it may not say is `Refused` with a text for a human.
 */

/** Bytes of a body. */
const MAX_BODY = 16_384

/** A whole number in a query. */
export const whole = (min: number, max: number) =>
  z.string().transform((text, ctx) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    ctx.addIssue({ code: 'custom', message: `must be a whole number from ${min} to ${max}` })
    return z.NEVER
  })

/** Words of a list, with commas between them. */
export const words = <const Word extends string>(known: readonly Word[]) =>
  z.string().transform((text, ctx) => {
    const given = text.split(',')
    const found = known.filter(word => given.includes(word))
    if (given.every(word => (known as readonly string[]).includes(word))) return found
    ctx.addIssue({ code: 'custom', message: `must be of ${known.join(', ')}, with commas between them` })
    return z.NEVER
  })

/** The query as the schema reads it; every parameter is a text and stands once at most. */
export function readQuery<Schema extends z.ZodObject>(ctx: Context, schema: Schema): z.output<Schema> {
  const query = new URLSearchParams(ctx.querystring)
  for (const name of new Set(query.keys())) {
    if (query.getAll(name).length > 1) throw new Refused(400, `${name} is given twice`)
  }
  return check(schema, Object.fromEntries(query))
}

/**
 * The JSON body as the schema reads it. Another type is refused: a form of another site can send anything but that without being
 * asked. Undefined when the client went away.
 */
export async function readBody<Schema extends z.ZodObject>(
  ctx: Context,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  if (!ctx.is('application/json')) throw new Refused(415, 'the body must be application/json')
  const bytes = await readRequestBody(ctx.req, MAX_BODY)
  if (bytes === undefined) return undefined
  if (bytes === 'too-large') throw new Refused(413, `a body has ${MAX_BODY} bytes at most`, { connection: 'close' })
  return check(schema, parse(bytes))
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new Refused(400, 'the body is no JSON')
  }
}

function check<Schema extends z.ZodObject>(schema: Schema, value: unknown): z.output<Schema> {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  throw new Refused(400, read.error.issues.map(issue => explain(issue, schema)).join('; '))
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodObject): string {
  if (issue.code === 'unrecognized_keys') {
    return `${issue.keys.join(', ')} is not known; known are ${Object.keys(schema.shape).join(', ')}`
  }
  const where = issue.path.join('.')
  return where === '' ? issue.message : `${where} ${issue.message}`
}
