import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { adminApiDocument } from '../../src/http/api-docs/admin-api.js'
import { createDocsRedirect, createSwaggerHandler } from '../../src/http/api-docs/handlers.js'
import { openApiDocument } from '../../src/http/api-docs/openapi.js'
import type { MountedApi } from '../../src/http/api-docs/operations.js'
import type { ApiDescription } from '../../src/http/rest/description.js'
import { command, count, jid, text } from '../../src/operations/commands/command.js'
import { exchange, serveApp, testApp } from './raw.js'

/*
 * The documents, made of an API of the test's own, and the handlers that show them. spec/api-docs.md §1, §2
 */

const flower = z.object({ colour: z.enum(['red', 'white']) }).meta({ id: 'flower', description: 'A flower.' })
const event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('grown'), id: z.string(), height: z.number().nullable() }),
  z.object({ type: z.literal('cut'), id: z.string(), by: flower.optional() }),
])
const responses = { 200: { description: 'Done.', schema: z.array(event) } }

const garden: ApiDescription = {
  tag: 'Gardens',
  parameters: { id: 'Name of the garden.' },
  variants: [
    { binds: [], operations: { GET: { description: 'All of them.', responses } } },
    {
      binds: ['id'],
      operations: {
        GET: {
          description: 'What grows there.',
          responses,
          query: z.object({
            limit: z.coerce.number().int().min(0).default(50).meta({ description: 'How many.' }),
            of: z.string().transform(text => text.length),
          }),
        },
        PUT: {
          description: 'Plants a flower.',
          responses: { 201: { description: '', schema: flower } },
          body: z.object({ flower, name: z.string().meta({ example: 'rose' }), among: z.array(flower).optional() }),
        },
      },
    },
  ],
}
const mounted: MountedApi[] = [{ path: '/green/gardens/[:id]', description: garden }]

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  const routes = [
    { host: '_', path: '/api-docs', target: createDocsRedirect() },
    { host: '_', path: '/deep/down/docs', target: createDocsRedirect() },
    { host: '_', path: '/api-docs/swagger.json', target: createSwaggerHandler(() => mounted) },
  ]
  server = await serveApp((await testApp(routes)).app)
})
afterAll(() => server.close(0))

const ask = (line: string, headers = '') =>
  exchange(server.port, `${line} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`)
const document = async () => JSON.parse((await ask('GET /api-docs/swagger.json')).body)

describe('the redirect', () => {
  it.each([
    ['GET /api-docs', '/api-docs/index.html'],
    ['HEAD /api-docs', '/api-docs/index.html'],
    ['GET /api-docs/', '/api-docs/index.html'],
    ['GET /deep/down/docs?url=x', '/deep/down/docs/index.html'],
    ['GET /deep/.//../down/docs', '/deep/down/docs/index.html'],
  ])('D-1: %s leads to %s', async (line, location) => {
    expect(await ask(line)).toMatchObject({ status: 301, headers: { location }, body: '' })
  })

  it('D-1: never leads to another server', async () => {
    const anywhere = await testApp([{ host: '_', path: '/[...]', target: createDocsRedirect() }])
    const other = await serveApp(anywhere.app)
    const { headers } = await exchange(other.port, 'GET //evil.example/%0d%0a/ HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(headers.location).toBe('/evil.example/%0D%0A/index.html')
    await other.close(0)
  })
})

describe.each(['/api-docs', '/api-docs/swagger.json'])('%s', path => {
  it('D-1, D-3: tells at OPTIONS what can be asked, and answers 405 to the rest', async () => {
    const allow = 'HEAD, GET, OPTIONS'
    expect(await ask(`OPTIONS ${path}`)).toMatchObject({ status: 200, headers: { allow }, body: '' })
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      expect(await ask(`${method} ${path}`)).toMatchObject({ status: 405, headers: { allow }, body: '' })
    }
  })
})

describe('swagger.json', () => {
  it('D-3: is JSON, for HEAD too', async () => {
    const shown = await ask('GET /api-docs/swagger.json')
    expect(shown).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    const { length } = shown.body
    expect(await ask('HEAD /api-docs/swagger.json')).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', 'content-length': `${length}` },
    })
  })

  it('is nothing else than JSON, and nowhere else', async () => {
    expect((await ask('GET /api-docs/swagger.json', 'Accept: text/xml\r\n')).status).toBe(406)
    expect((await ask('GET /api-docs/swagger.json/%zz')).status).toBe(400)
    expect((await ask('GET /api-docs/swagger.yaml')).status).toBe(404)
  })

  it('D-4: is a document of Swagger 2.0 and of nothing later', async () => {
    const { swagger, info, ...rest } = await document()
    expect(swagger).toBe('2.0')
    expect(info).toEqual({ title: expect.any(String), version: expect.any(String), description: expect.any(String) })
    expect(rest).not.toHaveProperty('openapi')
  })

  it('D-6: has a path for each form of the pattern that the handler is mounted at', async () => {
    const { paths } = await document()
    expect(Object.entries(paths).map(([path, methods]) => [path, Object.keys(methods as object)])).toEqual([
      ['/green/gardens', ['get']],
      ['/green/gardens/{id}', ['get', 'put']],
    ])
  })

  it('D-7: tells of each operation what goes in and what comes out', async () => {
    const { paths } = await document()
    expect(paths['/green/gardens/{id}'].get).toMatchObject({
      tags: ['Gardens'],
      description: 'What grows there.',
      consumes: ['application/json'],
      produces: ['application/json'],
      parameters: [
        { name: 'id', in: 'path', description: 'Name of the garden.', required: true, type: 'string' },
        { name: 'limit', in: 'query', description: 'How many.', required: false, type: 'integer', default: 50 },
        { name: 'of', in: 'query', required: true, type: 'string' },
      ],
      responses: { 200: { description: 'Done.' }, 401: {}, 406: {} },
    })
    expect(paths['/green/gardens/{id}'].put).toMatchObject({
      parameters: [
        { name: 'id' },
        {
          name: 'body',
          in: 'body',
          required: true,
          schema: {
            type: 'object',
            required: ['flower', 'name'],
            properties: { flower: { $ref: '#/definitions/flower' }, name: { type: 'string', example: 'rose' } },
          },
        },
      ],
      responses: { 201: { description: '', schema: { $ref: '#/definitions/flower' } }, 400: {}, 413: {}, 415: {} },
    })
  })

  it('D-7: has a definition for each reference', async () => {
    const whole = await document()
    const references = JSON.stringify(whole).match(/"\$ref":"[^"]*"/g) ?? []
    expect(references.length).toBeGreaterThan(3)
    expect(new Set(references)).toEqual(new Set(['"$ref":"#/definitions/flower"']))
    expect(whole.definitions).toEqual({
      flower: {
        type: 'object',
        description: 'A flower.',
        properties: { colour: { type: 'string', enum: ['red', 'white'] } },
        required: ['colour'],
      },
    })
  })

  it('D-4: says a choice of objects as one object, and null as Swagger UI knows it', async () => {
    const { paths } = await document()
    expect(paths['/green/gardens'].get.responses[200].schema.items).toEqual({
      type: 'object',
      properties: {
        type: { type: 'string', enum: ['grown', 'cut'] },
        id: { type: 'string' },
        height: { type: 'number', 'x-nullable': true },
        by: { $ref: '#/definitions/flower' },
      },
      required: ['type', 'id'],
    })
  })
})

describe('the OpenAPI document', () => {
  const whole = openApiDocument(mounted, { title: 'Gardens', description: '', user: '' }) as unknown as Openapi
  interface Openapi {
    openapi: string
    paths: Record<string, Record<string, Record<string, unknown>>>
    components: { schemas: Record<string, unknown> }
  }

  it('says the same in the words of OpenAPI 3.1', () => {
    expect(whole.openapi).toBe('3.1.0')
    expect(whole.paths['/green/gardens/{id}']?.put).toMatchObject({
      operationId: 'putGreenGardensId',
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              properties: {
                flower: { $ref: '#/components/schemas/flower' },
                name: { type: 'string', examples: ['rose'] },
              },
            },
          },
        },
      },
    })
    expect(whole.components.schemas).toHaveProperty('flower')
  })

  it('keeps choices', () => {
    const schema = { items: { oneOf: [{ required: ['type', 'id', 'height'] }, {}] } }
    expect(whole.paths['/green/gardens']?.get).toMatchObject({
      responses: { 200: { content: { 'application/json': { schema } } } },
    })
  })
})

describe('the document of the admin API', () => {
  const run = () => Promise.reject(new Error('nobody asks'))
  const host = text('The host.')
  const document = adminApiDocument([
    command({
      name: 'list_pets',
      category: 'pets',
      action: 'read',
      description: 'Lists them.',
      arguments: { host },
      optional: { limit: count('How many.').default(5) },
      result: z.array(z.string()),
      run,
    }),
    command({
      name: 'add_pet',
      category: 'pets',
      action: 'create',
      description: 'Adds one.',
      arguments: { host, name: text('Its name.'), age: count('In years.', 3) },
      identifiers: ['host'],
      result: z.string(),
      run,
    }),
    command({
      name: 'feed_pet',
      category: 'pets',
      subcategory: 'meals',
      action: 'update',
      description: 'Feeds it.',
      arguments: { host, owner: jid('Whose.') },
      identifiers: ['host', 'owner'],
      run,
    }),
  ])

  it('has a path of each command, with its method and what goes into path, body and query (spec/rest-admin.md §1)', () => {
    expect(document.paths).toMatchObject({
      '/api/pets/{host}': {
        get: {
          tags: ['pets'],
          parameters: [
            { name: 'host', in: 'path', description: 'The host.', required: true },
            { name: 'limit', in: 'query', description: 'How many.', required: false, schema: { type: 'integer' } },
          ],
          responses: { 200: { content: { 'application/json': { schema: { items: { type: 'string' } } } } } },
        },
        post: {
          requestBody: {
            content: {
              'application/json': { schema: { required: ['name', 'age'], properties: { name: {}, age: {} } } },
            },
          },
          responses: { 201: { content: { 'text/plain': { schema: { type: 'string' } } } }, 404: {}, 415: {} },
        },
      },
      '/api/pets/{host}/{owner}/meals': {
        put: { parameters: [{ name: 'host' }, { name: 'owner', description: 'Whose.' }], responses: { 204: {} } },
      },
    })
  })
})
