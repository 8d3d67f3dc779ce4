// Logs in over BOSH with strophe.js and talks by lines of JSON, as README.md says; `service` is the address instead of `port` and `tls`.
import { createInterface } from 'node:readline'
import { DOMParser } from '@xmldom/xmldom'
import { $msg, $pres, Strophe } from 'strophe.js'

/** What strophe.js asks of a browser, by way of `fetch`. */
globalThis.XMLHttpRequest = class {
  readyState = 0
  status = 0
  responseText = ''
  responseXML = null
  #headers = {}
  #aborted = new AbortController()

  open(method, url) {
    this.method = method
    this.url = url
    this.#becomes(1)
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value
  }

  getAllResponseHeaders() {
    return ''
  }

  abort() {
    this.#aborted.abort()
  }

  async send(body) {
    const { method, url } = this
    try {
      const answer = await fetch(url, { method, body, headers: this.#headers, signal: this.#aborted.signal })
      this.status = answer.status
      this.responseText = await answer.text()
      this.responseXML = new DOMParser().parseFromString(this.responseText, 'text/xml')
    } catch (error) {
      if (!this.#aborted.signal.aborted) console.error(error)
    }
    this.#becomes(4)
  }

  #becomes(state) {
    this.readyState = state
    this.onreadystatechange?.()
  }
}

const { user, password, domain, service } = JSON.parse(process.argv[2])
const tell = event => process.stdout.write(`${JSON.stringify(event)}\n`)
const input = createInterface({ input: process.stdin })

const connection = new Strophe.Connection(service)
const isOnline = new Promise(resolve => {
  connection.connect(`${user}@${domain}/strophe`, password, status => {
    if (status === Strophe.Status.CONNECTED) resolve()
    if ([Strophe.Status.AUTHFAIL, Strophe.Status.CONNFAIL, Strophe.Status.ERROR].includes(status)) {
      console.error(`status ${status}`)
      process.exit(1)
    }
    if (status === Strophe.Status.DISCONNECTED) process.exit(0)
  })
})
await isOnline
connection.addHandler(
  stanza => {
    const body = stanza.getElementsByTagName('body')[0]?.textContent
    if (body) tell({ event: 'message', from: stanza.getAttribute('from'), body })
    return true
  },
  null,
  'message',
)
connection.send($pres())
connection.flush()
tell({ event: 'online', jid: connection.jid })

for await (const line of input) {
  const { to, body } = JSON.parse(line)
  connection.send($msg({ to, type: 'chat' }).c('body').t(body))
  connection.flush()
}
connection.disconnect('done')
