import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // The soak tests run a tenth of their size here: they too need the server as a process, and `npm test` stays quick.
    include: ['test/interop/*.test.ts', 'test/soak/*.test.ts'],
    provide: { soakScale: 0.1 },
    setupFiles: ['test/support/fuzz-seed.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // One server and one peer at a time: these tests wait for other people's programs.
    fileParallelism: false,
    pool: 'forks',
  },
})
