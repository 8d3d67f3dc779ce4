/*
 * The two PRECIS profiles that addresses use: UsernameCaseMapped and OpaqueString (RFC 8265) over the string classes of
 * RFC 8264, with the context rules of RFC 5892 Appendix A and the Bidi Rule of RFC 5893 §2.
 * Unicode comes from the engine (`\p{..}`, `normalize`); what the engine does not know stands in the tables below.
 */

/** What RFC 8264 §8 derives for a code point; 'freeform' is valid in the FreeformClass only. */
type Derived = 'valid' | 'context' | 'freeform' | 'disallowed'

const ZWNJ = '\u200c'
const ZWJ = '\u200d'

// RFC 8264 §9.6, the exceptions that the general categories alone would judge otherwise
const exceptionValid = /[\u00df\u03c2\u06fd\u06fe\u0f0b\u3007]/
const exceptionContext = /[\u00b7\u0375\u05f3\u05f4\u30fb\u0660-\u0669\u06f0-\u06f9]/
const exceptionDisallowed = /[\u0640\u07fa\u302e\u302f\u3031-\u3035\u303b]/
// RFC 8264 §9.9: Hangul_Syllable_Type L, V and T
const oldHangulJamo = /[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb]/
const disallowedProperty = /[\p{Cn}\p{Cc}\p{Default_Ignorable_Code_Point}]/u
const letterOrDigit = /[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]/u
const freeformProperty = /[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{S}\p{P}]/u

// RFC 8264 §8, in its order
function derive(char: string): Derived {
  if (char >= '\x21' && char <= '\x7e') return 'valid'
  if (exceptionValid.test(char)) return 'valid'
  if (exceptionContext.test(char) || char === ZWNJ || char === ZWJ) return 'context'
  if (exceptionDisallowed.test(char) || oldHangulJamo.test(char) || disallowedProperty.test(char)) return 'disallowed'
  if (char.normalize('NFKC') !== char) return 'freeform' // §9.17 HasCompat
  if (letterOrDigit.test(char)) return 'valid'
  return freeformProperty.test(char) ? 'freeform' : 'disallowed'
}

function isIdentifier(text: string): boolean {
  for (const char of text) {
    const derived = derive(char)
    if (derived === 'freeform' || derived === 'disallowed') return false
  }
  return true
}

function isFreeform(text: string): boolean {
  for (const char of text) if (derive(char) === 'disallowed') return false
  return true
}

// Canonical_Combining_Class=Virama
const virama =
  /[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0e3a\u0eba\u0f84\u1039\u103a\u1714\u1715\u1734\u17d2\u1a60\u1b44\u1baa\u1bab\u1bf2\u1bf3\u2d7f\ua806\ua82c\ua8c4\ua953\ua9c0\uaaf6\uabed\u{10a3f}\u{11046}\u{11070}\u{1107f}\u{110b9}\u{11133}\u{11134}\u{111c0}\u{11235}\u{112ea}\u{1134d}\u{11442}\u{114c2}\u{115bf}\u{1163f}\u{116b6}\u{1172b}\u{11839}\u{1193d}\u{1193e}\u{119e0}\u{11a34}\u{11a47}\u{11a99}\u{11c3f}\u{11d44}\u{11d45}\u{11d97}\u{11f41}\u{11f42}]/u
// Joining_Type of the Arabic script, where ZWNJ is everyday spelling; in the other cursive scripts it is refused.
const arabicLetter = /(?=\p{L})\p{Script=Arabic}/u
const notJoining = /[\u0621\u0674\u06e5\u06e6\u0883-\u0885\u0887\u08ad\u08c9]/
const rightJoining =
  /[\u0622-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2\u06d3\u06d5\u06ee\u06ef\u0759-\u075b\u076b\u076c\u0771\u0773\u0774\u0778\u0779\u0870-\u0882\u088e\u08aa-\u08ac\u08ae\u08b1\u08b2\u08b9]/
const transparent = /[\p{Mn}\p{Me}]/u

const joinsLeft = (char: string) => arabicLetter.test(char) && !notJoining.test(char) && !rightJoining.test(char)
const joinsRight = (char: string) => arabicLetter.test(char) && !notJoining.test(char)

/** The nearest character from `at` in the direction of `step` that takes part in joining; '' at the end. */
function joiningNeighbour(chars: string[], at: number, step: 1 | -1): string {
  let i = at + step
  while (transparent.test(chars[i] ?? '')) i += step
  return chars[i] ?? ''
}

// RFC 5892 Appendix A
function contextAllows(chars: string[], at: number): boolean {
  const char = chars[at] ?? ''
  const before = chars[at - 1] ?? ''
  const after = chars[at + 1] ?? ''
  switch (char) {
    case ZWNJ:
      return (
        virama.test(before) ||
        (joinsLeft(joiningNeighbour(chars, at, -1)) && joinsRight(joiningNeighbour(chars, at, 1)))
      )
    case ZWJ:
      return virama.test(before)
    case '\u00b7': // MIDDLE DOT, as in Catalan
      return before === 'l' && after === 'l'
    case '\u0375': // GREEK LOWER NUMERAL SIGN
      return /\p{Script=Greek}/u.test(after)
    case '\u05f3':
    case '\u05f4': // HEBREW PUNCTUATION GERESH and GERSHAYIM
      return /\p{Script=Hebrew}/u.test(before)
    case '\u30fb': // KATAKANA MIDDLE DOT
      return chars.some(c => /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(c))
    default: // the two rows of Arabic digits must not be mixed
      return !chars.some(c => (char < '\u06f0' ? /[\u06f0-\u06f9]/ : /[\u0660-\u0669]/).test(c))
  }
}

function contextsAllow(text: string): boolean {
  const chars = [...text]
  return chars.every((char, i) => derive(char) !== 'context' || contextAllows(chars, i))
}

// Bidi_Class of what the IdentifierClass lets through, R standing for AL too
const arabicNumber = /[\u0660-\u0669\u{10d30}-\u{10d39}\u{10e60}-\u{10e7e}]/u
const europeanNumber = /[0-9\u06f0-\u06f9]/
const nonspacing = /[\p{Mn}\p{Me}]/u
const rightToLeftBlock = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u
const strongCharacter = /[\p{L}\p{Mc}\p{Nd}\p{Nl}\u05f3\u05f4\u06fd\u06fe]/u

function bidiClass(char: string): 'AN' | 'EN' | 'NSM' | 'R' | 'L' | 'ON' {
  if (arabicNumber.test(char)) return 'AN'
  if (europeanNumber.test(char)) return 'EN'
  if (nonspacing.test(char)) return 'NSM'
  if (!strongCharacter.test(char)) return 'ON'
  return rightToLeftBlock.test(char) ? 'R' : 'L'
}

/** RFC 5893 §2 for a string that holds right-to-left characters; any other string passes, as RFC 8265 §3.3.2 has it. */
function bidiAllows(text: string): boolean {
  if (!rightToLeftBlock.test(text)) return true
  const classes = [...text].map(bidiClass)
  if (!classes.includes('R') && !classes.includes('AN')) return true
  // A string that starts with L must not hold R or AN at all, so only the right-to-left half of the rule is left.
  if (classes[0] !== 'R' || classes.includes('L')) return false
  if (classes.includes('EN') && classes.includes('AN')) return false
  const last = classes.findLast(c => c !== 'NSM')
  return last === 'R' || last === 'EN' || last === 'AN'
}

const wideOrNarrow = /[\u3000\uff01-\uffef]/g
const notAscii = /[^\x21-\x7e]/

/**
 * The UsernameCaseMapped profile (RFC 8265 §3.3), or undefined when it forbids the text. Never returns ''.
 * The rules are repeated until the text stays the same, as RFC 8264 §7 advises.
 */
export function usernameCaseMapped(text: string): string | undefined {
  if (text === '') return undefined
  if (!notAscii.test(text)) return text.toLowerCase()
  let current = text
  for (let pass = 0; pass < 4; pass++) {
    const mapped = current.replace(wideOrNarrow, char => char.normalize('NFKC'))
    if (!isIdentifier(mapped)) return undefined
    const next = mapped.toLowerCase().normalize('NFC')
    if (next === current) return contextsAllow(next) && bidiAllows(next) ? next : undefined
    current = next
  }
  return undefined
}

const spaces = /\p{Zs}/gu

/** The OpaqueString profile (RFC 8265 §4.2), or undefined when it forbids the text. Never returns ''. */
export function opaqueString(text: string): string | undefined {
  if (text === '') return undefined
  if (!/[^\x20-\x7e]/.test(text)) return text
  if (!isFreeform(text)) return undefined
  const prepared = text.replace(spaces, ' ').normalize('NFC')
  return isFreeform(prepared) && contextsAllow(prepared) ? prepared : undefined
}
