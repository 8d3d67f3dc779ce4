import { type ChildProcess, spawn } from 'node:child_process'
import type { Clock } from '../observability/clock.js'

/** Milliseconds before a program is started again: the first time, and at most. Doubles with each failure in a row. */
const FIRST_RESTART_MS = 1_000
const LAST_RESTART_MS = 60_000
/** Milliseconds that a program which was told to end has for it. */
const KILL_MS = 2_000
/** Bytes of a question: its length is written in two. */
export const LONGEST_QUESTION = 65_535

// What it says on standard error goes where the server's does.
const spawnPiped = (file: string, args: string[]) => spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })

interface Question {
  answered(isRight: boolean): void
  failed(reason: string): void
}

export interface AuthProgramOptions {
  clock: Clock
  /** It can be asked. */
  onFree(): void
  /** It ended, or was ended because it broke the rules; it is started again later. */
  onDown(reason: string): void
}

/** One program that answers questions by standard input and output, each with a length of two bytes, big-endian, in front. */
export class AuthProgram {
  private process: ChildProcess | undefined = undefined
  private question: Question | undefined = undefined
  private input = Buffer.alloc(0)
  private failures = 0
  private isStopped = false
  private cancelRestart: (() => void) | undefined = undefined

  /** `command` is split at white space; no shell reads it. */
  constructor(
    private readonly command: string,
    private readonly options: AuthProgramOptions,
  ) {}

  get isUp(): boolean {
    return this.process !== undefined
  }

  get isFree(): boolean {
    return this.process !== undefined && this.question === undefined
  }

  isAsked(question: Question): boolean {
    return this.question === question
  }

  start(): void {
    const [file = '', ...args] = this.command.trim().split(/\s+/)
    let child: ReturnType<typeof spawnPiped>
    try {
      child = spawnPiped(file, args)
    } catch (error) {
      // Most failures are told by an event.
      this.lost(error instanceof Error ? error.message : String(error))
      return
    }
    this.process = child
    this.input = Buffer.alloc(0)
    const gone = (reason: string) => {
      if (this.process === child) this.lost(reason)
    }
    child.on('error', error => gone(error.message))
    child.on('exit', (code, signal) => gone(`the program ended with ${signal ?? code}`))
    // A program that does not read any more ends soon, or is ended for not answering.
    child.stdin.on('error', () => {})
    child.stdout.on('error', () => {})
    child.stdout.on('data', (chunk: Buffer) => {
      if (this.process === child) this.read(chunk)
    })
    this.options.onFree()
  }

  /** Only when it is free, and not longer than `LONGEST_QUESTION`. */
  ask(text: string, question: Question): void {
    const body = Buffer.from(text)
    const message = Buffer.alloc(2 + body.length)
    message.writeUInt16BE(body.length)
    body.copy(message, 2)
    this.question = question
    this.process?.stdin?.write(message)
  }

  /** Ends it because it cannot be relied on. */
  end(reason: string): void {
    const { process: child } = this
    if (child === undefined) return
    this.lost(reason)
    void this.kill(child)
  }

  /** For good; resolves when the program has ended. */
  async stop(): Promise<void> {
    this.isStopped = true
    this.cancelRestart?.()
    const { process: child, question } = this
    this.process = undefined
    this.question = undefined
    question?.failed('the server stops')
    if (child !== undefined) await this.kill(child)
  }

  private lost(reason: string): void {
    const { question } = this
    this.process = undefined
    this.question = undefined
    if (!this.isStopped) {
      const wait = Math.min(FIRST_RESTART_MS * 2 ** this.failures, LAST_RESTART_MS)
      this.failures += 1
      this.cancelRestart = this.options.clock.after(wait, () => this.start())
    }
    question?.failed(reason)
    this.options.onDown(reason)
  }

  private read(chunk: Buffer): void {
    this.input = Buffer.concat([this.input, chunk])
    if (this.input.length < 4) return
    const isAnswer = this.input.length === 4 && this.input.readUInt16BE(0) === 2 && this.input.readUInt16BE(2) <= 1
    const { question } = this
    if (!isAnswer || question === undefined) {
      this.end('the program said what is no answer')
      return
    }
    const isRight = this.input.readUInt16BE(2) === 1
    this.input = Buffer.alloc(0)
    this.question = undefined
    this.failures = 0
    question.answered(isRight)
    this.options.onFree()
  }

  private kill(child: ChildProcess): Promise<void> {
    // It was never there.
    if (child.pid === undefined) return Promise.resolve()
    child.stdin?.end()
    child.kill('SIGTERM')
    const cancel = this.options.clock.after(KILL_MS, () => child.kill('SIGKILL'))
    return new Promise(resolve => {
      child.once('exit', () => {
        cancel()
        resolve()
      })
    })
  }
}
