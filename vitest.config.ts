import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/soak/**', '**/node_modules/**'],
    setupFiles: ['test/support/fuzz-seed.ts'],
    testTimeout: 20_000,
    pool: 'forks',
  },
})
