import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/interop/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One server and one peer at a time: these tests wait for other people's programs.
    fileParallelism: false,
    pool: 'forks',
  },
})
