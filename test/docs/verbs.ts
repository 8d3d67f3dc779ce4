import { Command } from 'commander'
import type { Page, Piece } from './page.js'

/*
 * Whether verbs and options that pages write are those of the command.
 */

/** The program of `src/main.ts`: what it would parse, without letting it. */
export async function meerkatProgram(): Promise<Command> {
  const original = Command.prototype.parseAsync
  const before = process.listeners('uncaughtException')
  let program: Command | undefined
  Command.prototype.parseAsync = function (this: Command) {
    program = this
    return Promise.resolve(this)
  }
  try {
    await import('../../src/main.js')
  } finally {
    Command.prototype.parseAsync = original
    // A test that fails is not the end of the command.
    for (const listener of process.listeners('uncaughtException')) {
      if (!before.includes(listener)) process.off('uncaughtException', listener)
    }
  }
  if (program === undefined) throw new Error('src/main.ts parses nothing')
  return program
}

/** What may stand before a command in a line. */
const BEFORE = String.raw`(?:\$ |sudo (?:-u \S+ )?|[A-Z_]+=\S+ |npx |timeout \S+ |nice -n \d+ |echo .* \| |printf .* \| |ExecStart=\S*(?=\/node ))*`
const COMMAND = new RegExp(String.raw`^\s*${BEFORE}(?:\S*node (?:--\S+ )*\S*dist\/main\.js|\S*\/?meerkat)(?= |$)(.*)$`)

/** What is written after the name of the command in a line or a span; undefined where it is none. */
export function commandIn(line: string): string | undefined {
  const rest = COMMAND.exec(line)?.[1]
  return rest
    ?.replace(/ (?:[|>&;#]|2>).*$/, '')
    .replace(/\\$/, '')
    .trim()
}

/** Problems of the commands on a page. */
export function commandProblems(page: Page, program: Command): Piece[] {
  const lines = page.blocks
    .filter(block => ['', 'sh', 'console', 'ini', 'bash'].includes(block.language))
    .flatMap(block => block.text.split('\n').map((text, at) => ({ text, line: block.line + at })))
  return [...lines, ...page.spans].flatMap(({ text, line }) => {
    const command = commandIn(text)
    const problem = command === undefined ? undefined : commandProblem(command, program)
    return problem === undefined ? [] : [{ line, text: `${text.trim()}: ${problem}` }]
  })
}

function commandProblem(text: string, program: Command): string | undefined {
  let command = program
  for (const token of text.split(/\s+/).filter(Boolean)) {
    const verbs = command.commands.map(verb => verb.name())
    if (token.startsWith('-')) {
      const option = token.replace(/=.*$/, '')
      const isKnown = ['--help', '-h', ...command.options.flatMap(({ long, short }) => [long, short])].includes(option)
      if (!isKnown) return `${command.name()} has no option ${option}`
    } else if (verbs.length > 0 && !/^[A-Z]+$/.test(token)) {
      const unknown = token.split('|').find(name => !verbs.includes(name))
      if (unknown !== undefined) return `there is no verb ${unknown}; there are ${verbs.join(', ')}`
      command = command.commands.find(verb => verb.name() === token.split('|')[0])!
    }
  }
  return undefined
}
