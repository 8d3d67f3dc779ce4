/**
 * Options of an LRU cache for so many entries, which takes room for those that it has. With `max` it would take the room of all at once, for
 * each virtual host.
 */
export const entries = (most: number) => ({ maxSize: most, sizeCalculation: () => 1 })
