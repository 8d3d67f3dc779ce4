/** The part of node-forge that reads DER, by itself: @types/node-forge knows the whole alone, which takes ten times as much memory. */
declare module 'node-forge/lib/asn1.js' {
  import type forge from 'node-forge'

  const asn1: typeof forge.asn1
  export default asn1
}
