import type { ReadStream, WriteStream } from 'node:tty'

/*
 * A terminal that is drawn anew, by the escape sequences that every one of today knows. ECMA-48
 */

/** Where it is drawn, and whose keys are read. */
export interface Terminal {
  readonly output: Pick<WriteStream, 'write' | 'on' | 'off'> & { isTTY?: boolean; columns?: number; rows?: number }
  readonly input: Pick<ReadStream, 'on' | 'off' | 'pause' | 'resume'> & {
    isTTY?: boolean
    setRawMode?(isRaw: boolean): unknown
  }
}

export interface Screen {
  /** The user wants to go. */
  readonly isOver: boolean
  /** Replaces what is shown; what does not fit is cut. */
  show(lines: readonly string[]): void
  /** Gives the terminal back as it was. Calling again does nothing. */
  close(): void
}

const enter = '\u001b[?1049h\u001b[?25l'
const leave = '\u001b[?25h\u001b[?1049l'
/** q, Ctrl-C, Ctrl-D. */
const quitting = ['q', 'Q', '\u0003', '\u0004']
const home = '\u001b[H'
/** What an older line, and older lines, left behind. */
const restOfLine = '\u001b[K'
const restOfScreen = '\u001b[J'

/** Takes the terminal over; `quit` is called once for `q`, Ctrl-C or Ctrl-D. */
export function openScreen({ input, output }: Terminal, quit: () => void): Screen {
  let isOver = false
  let isClosed = false
  let shown: readonly string[] = []
  const onKey = (key: Buffer) => {
    const pressed = key.toString()
    if (isOver || !quitting.some(one => pressed.includes(one))) return
    isOver = true
    quit()
  }
  const paint = () => {
    // Some terminals say that they have none.
    const rows = output.rows || 24
    const columns = output.columns || 80
    const lines = [...shown.slice(0, Math.max(0, rows - 2)), '', 'q quits'].slice(-rows)
    output.write(`${home}${lines.map(line => `${cut(line, columns)}${restOfLine}`).join('\r\n')}${restOfScreen}`)
  }
  input.setRawMode?.(true)
  input.on('data', onKey)
  input.resume()
  output.on('resize', paint)
  output.write(enter)
  return {
    get isOver() {
      return isOver
    },
    show(lines) {
      shown = lines
      if (!isClosed) paint()
    },
    close() {
      if (isClosed) return
      isClosed = true
      input.off('data', onKey)
      output.off('resize', paint)
      input.setRawMode?.(false)
      input.pause()
      output.write(leave)
    },
  }
}

/** What a terminal would take for an order is not written. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
const cut = (line: string, columns: number) => line.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, columns)
