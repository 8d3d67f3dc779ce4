/*
 * A strict reader of the text format of Prometheus, version 0.0.4: what a lenient one lets pass is an error here.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: Sample[]
}

const types = ['counter', 'gauge', 'histogram', 'summary', 'untyped']
const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/
const float = /^(NaN|[+-]?Inf|[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)$/

/** The families by their names. Throws for a text that breaks a rule, with the line. */
export function readExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = new Map<string, Family>()
  const series = new Set<string>()
  let family: { name: string; help: string; type: string; samples: Sample[] } | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${line}`)
    }
    if (line === '') continue
    if (line.startsWith('# HELP ')) {
      const [, name = '', help = ''] = /^# HELP (\S+) (.*)$/.exec(line) ?? fail('no name or no text')
      if (!metricName.test(name)) fail('a wrong name')
      if (/\\[^\\n]|\\$/.test(help.replaceAll('\\\\', ''))) fail('a wrong escape')
      if (families.has(name)) fail('a second HELP, or a family in two pieces')
      family = { name, help, type: '', samples: [] }
      families.set(name, family)
    } else if (line.startsWith('# TYPE ')) {
      const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? fail('no name or no type')
      if (family?.name !== name || family.type !== '' || family.samples.length > 0) fail('a TYPE that is out of place')
      if (!types.includes(type)) fail('no such type')
      if (family !== undefined) family.type = type
    } else if (line.startsWith('#')) {
      fail('a comment')
    } else {
      const sample = readSample(line, fail)
      if (family === undefined || family.type === '') return fail('a sample before its TYPE')
      if (!namesOf(family).includes(sample.name)) fail(`a sample that is not of ${family.name}`)
      const labels = Object.entries(sample.labels).sort(([one], [other]) => (one < other ? -1 : 1))
      const id = JSON.stringify([sample.name, labels])
      if (series.has(id)) fail('the same series twice')
      series.add(id)
      if (family.type === 'counter' && !(sample.value >= 0)) fail('a counter below 0')
      family.samples.push(sample)
    }
  }
  for (const found of families.values()) if (found.type === 'histogram') checkHistogram(found)
  return families
}

function namesOf({ name, type }: Family): string[] {
  if (type === 'histogram') return [`${name}_bucket`, `${name}_sum`, `${name}_count`]
  if (type === 'summary') return [name, `${name}_sum`, `${name}_count`]
  return [name]
}

function readSample(line: string, fail: (why: string) => never): Sample {
  const [, name = '', inner, value = ''] = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? fail('no sample')
  if (!metricName.test(name)) fail('a wrong name')
  if (!float.test(value)) fail('a value that is no number')
  const number = /^[+-]?Inf$/.test(value) ? Number(value.replace('Inf', 'Infinity')) : Number(value)
  return { name, labels: inner === undefined ? {} : readLabels(inner, fail), value: number }
}

function readLabels(text: string, fail: (why: string) => never): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== '') {
    const [whole = '', name = '', raw = ''] =
      /^([^=]+)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)/.exec(rest) ?? fail('wrong labels')
    if (!labelName.test(name)) fail('a wrong label')
    if (name in labels) fail('a label twice')
    labels[name] = raw.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    rest = rest.slice(whole.length)
  }
  return labels
}

/** Buckets grow, the last one is +Inf and the count, and there is a sum. */
function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels
    const key = JSON.stringify(Object.entries(others).sort())
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  for (const group of groups.values()) {
    const part = (suffix: string) => group.filter(sample => sample.name === `${name}_${suffix}`)
    const bounds = part('bucket').map(({ labels }) => (labels.le === '+Inf' ? Infinity : Number(labels.le)))
    const counts = part('bucket').map(({ value }) => value)
    const grows = (numbers: number[], strictly: boolean) =>
      numbers.every((number, i) => i === 0 || (strictly ? number > numbers[i - 1]! : number >= numbers[i - 1]!))
    if (bounds.length === 0 || !grows(bounds, true) || bounds.at(-1) !== Infinity)
      throw new Error(`${name}: wrong bounds`)
    if (!grows(counts, false)) throw new Error(`${name}: buckets do not grow`)
    if (part('count').length !== 1 || part('count')[0]?.value !== counts.at(-1)) throw new Error(`${name}: wrong count`)
    if (part('sum').length !== 1) throw new Error(`${name}: no sum`)
  }
}
