import { createRuntime, stopTree } from 'meerkat-xmpp/actors'
import { startChat } from './chat.js'

const runtime = createRuntime({ onFault: ({ path, action, error }) => console.error(path, action, error) })
startChat(runtime, Number(process.env.PORT ?? 4000))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopTree(runtime.root, 'shutdown'))
