// What we load of nact 7.6.2, file by file: the package types only its root. The shapes stand in nact.ts, the one place
// that says what we rely on, so that no emitted declaration of ours names a nact module.
declare module 'nact/lib/actor.js' {
  export const Actor: unknown
}
declare module 'nact/lib/functions.js' {
  export const dispatch: unknown
}
declare module 'nact/lib/system.js' {
  export const start: unknown
}
declare module 'nact/lib/system-map.js' {
  export const find: unknown
}
