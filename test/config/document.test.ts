import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generatedDocs, updateDocs, xepsMarkdown } from '../../src/cli/generate-docs.js'
import { optionPaths } from '../../src/config/document.js'
import { modules } from '../../src/modules/index.js'
import { schema } from './files.js'

const docs = generatedDocs(modules)

describe('the generated documents', () => {
  it('in docs/ are what the sources say (npm run docs)', () => {
    expect(updateDocs(join(import.meta.dirname, '../../docs'), docs, true)).toEqual([])
  })

  it('have a row for every option, with syntax, default, example and meaning', () => {
    const text = docs.get('configuration.md')!
    for (const path of optionPaths(schema)) {
      if (path.startsWith('modules')) continue
      const row = text.split('\n').find(line => line.startsWith(`| \`${path}\` |`))
      const cells = row?.slice(2, -2).split(/(?<!\\) \| /)
      expect(
        cells?.filter(cell => cell.trim() !== ''),
        path,
      ).toHaveLength(5)
    }
    expect(text).toContain('| `listen.c2s.backlog` | a positive integer | `100` | `backlog = 1000` |')
    expect(text).toContain('## `[[listen.http.handlers.mod_bosh]]`')
    expect(text).toContain('## `[shaper.NAME]`')
    expect(text).toContain('## `[[acl.NAME]]`')
    expect(text).toContain('## `[modules.mod_ping]`')
  })

  it('include a JSON Schema in which nothing of ours is left that editors do not know', () => {
    const text = docs.get('meerkat.schema.json')!
    const json: unknown = JSON.parse(text)
    expect(json).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: {
        listen: {
          properties: {
            c2s: {
              items: {
                required: ['port'],
                properties: { port: { type: 'integer', maximum: 65_535, examples: [5222] } },
              },
            },
          },
        },
      },
    })
    expect(text).not.toMatch(/"(syntax|unset|refers|prepare|refused|repeats|example)":/)
  })

  it('tell which file differs, and write it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-docs-'))
    try {
      writeFileSync(join(folder, 'xeps.md'), 'old')
      expect(updateDocs(folder, new Map([['xeps.md', 'new']]), true)).toEqual(['xeps.md'])
      expect(readFileSync(join(folder, 'xeps.md'), 'utf8')).toBe('old')
      expect(updateDocs(folder, new Map([['xeps.md', 'new']]), false)).toEqual(['xeps.md'])
      expect(updateDocs(folder, new Map([['xeps.md', 'new']]), true)).toEqual([])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('list specifications in their order, with their modules', () => {
    const text = xepsMarkdown([
      { name: 'mod_ping', implements: ['XEP-0199'] },
      { name: 'mod_disco', implements: ['XEP-0030', 'RFC 6121'] },
    ])
    expect(text).toContain(
      '| RFC 6121 | `mod_disco` |\n| [XEP-0030](https://xmpp.org/extensions/xep-0030.html) | `mod_disco` |\n| [XEP-0199](https://xmpp.org/extensions/xep-0199.html) | `mod_ping` |\n',
    )
  })
})
