import { type Client, client, xml } from '@xmpp/client'

/** Where the bot logs in, and as whom. */
export interface BotOptions {
  service: string
  domain: string
  username: string
  password: string
}

/** The program under test: says hello to everybody who writes to it. Resolves when it is online. */
export async function startBot(options: BotOptions): Promise<Client> {
  const bot = client(options)
  bot.on('error', () => undefined)
  bot.on('stanza', stanza => {
    if (!stanza.is('message') || stanza.attrs.type === 'error' || !stanza.getChild('body')) return
    void bot.send(xml('message', { to: stanza.attrs.from }, xml('body', {}, 'hello')))
  })
  await bot.start()
  await bot.send(xml('presence'))
  return bot
}
