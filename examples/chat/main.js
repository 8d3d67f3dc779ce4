import { createRuntime, stopTree } from 'meerkat-xmpp/actors'
import { startChat } from './chat.js'

const runtime = createRuntime({ onFault: ({ path, action, error }) => console.error(path, action, error) })
startChat(runtime, 4000)
process.once('SIGINT', () => stopTree(runtime.root, 'shutdown'))
