/*
 * What a screen reader says by itself: few words, not too often, the newest last.
 */
const EVERY_MS = 1500

let place
let waiting = []

export function startTelling(element) {
  place = element
}

/** Says the text soon; of what comes in one moment, the last three. */
export function tell(text) {
  waiting = [...waiting, text].slice(-3)
  if (waiting.length > 1) return
  setTimeout(() => {
    place.textContent = waiting.join('. ')
    waiting = []
  }, EVERY_MS)
}
