import type { IncomingMessage } from 'node:http'

/** The whole body of a request; undefined when its sender went away, `too-large` beyond `most` bytes. */
export function readRequestBody(request: IncomingMessage, most: number): Promise<Buffer | 'too-large' | undefined> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= most) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      resolve('too-large')
    })
    request.on('end', () => {
      resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
      // The request may live for long after this.
      chunks.length = 0
    })
    request.on('error', () => resolve(undefined))
    request.on('close', () => resolve(undefined))
  })
}
