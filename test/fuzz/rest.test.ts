import { describe, expect, it } from 'vitest'
import { clientApiDocument } from '../../src/http/api-docs/client-api.js'
import { describeRequests } from '../support/rest-fuzz.js'
import { fault as faultOf, type OpenApi } from '../support/rest-requests.js'

/* The REST APIs from those who do not keep to their documents; the same with more requests: ../soak/rest.test.ts */

describeRequests('client', 40, 60)
describeRequests('admin', 40, 60)

describe('what counts as a fault', () => {
  const document = clientApiDocument() as unknown as OpenApi // it is one
  const operation = document.paths['/api/rooms']?.post
  const fault = (status: number, text = '', type = 'application/json') =>
    operation && faultOf(document, operation, { status, text, headers: { 'content-type': type } })

  it('is none in what is documented, or is the same for all', () => {
    expect(fault(200, '{"id":"croquet"}')).toBeUndefined()
    for (const status of [400, 401, 404, 405, 406, 413, 415]) expect(fault(status)).toBeUndefined()
  })

  it.each<[string, number, string?, string?]>([
    ['a failure of the server', 500],
    ['another success', 201, '{"id":"croquet"}'],
    ['another body', 200, '{"id":5}'],
    ['no body', 200, '{}'],
    ['another type', 200, '{"id":"croquet"}', 'text/html'],
  ])('is %s', (_what, status, text, type) => {
    expect(fault(status, text, type)).toEqual(expect.any(String))
  })
})
