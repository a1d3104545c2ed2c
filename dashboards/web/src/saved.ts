// The last values survive a reload, so that a wall that starts during an outage shows numbers, marked as lost.
import { dumpBegan, restoreBegan } from './alerts'
import { dumpAsked, restoreAsked } from './answers'
import { assumeAhead, serverNow } from './clock'
import { asOf, reach } from './link'
import { dump, restore, scope, shown, type Value } from './values'

const place = 'ioc.wall'
const oldest = 14 * 86_400_000

interface Saved {
  version: 1
  at: number
  scope: string
  asOf: number
  values: [string, Value][]
  began: [string, number | null][]
  asked: ReturnType<typeof dumpAsked>
  ahead: number
}

let written = 0

/** Keeps what is shown, when it changed since. */
export function save(): void {
  if (shown.peek() === written || shown.peek() === 0 || scope.peek() === '') return
  written = shown.peek()
  const saved: Saved = {
    version: 1, at: serverNow(), scope: scope.peek(), asOf: asOf.peek(), values: dump(), began: dumpBegan(),
    asked: dumpAsked(), ahead: serverNow() - Date.now(),
  }
  try {
    localStorage.setItem(place, JSON.stringify(saved))
  } catch {
    // Storage is full or forbidden: the wall works without.
  }
}

/** Puts back what was kept; false when there is nothing of use. */
export function load(): boolean {
  try {
    const saved = JSON.parse(localStorage.getItem(place) ?? 'null') as Saved | null
    if (saved?.version !== 1 || serverNow() - saved.at > oldest) return false
    assumeAhead(saved.ahead)
    restoreAsked(saved.asked)
    scope.value = saved.scope
    reach(new Date(saved.asOf).toISOString())
    restoreBegan(saved.began)
    restore(saved.values)
    return true
  } catch {
    return false
  }
}

/** Forgets what was kept, since it was for another principal. */
export function forget(): void {
  try {
    localStorage.removeItem(place)
  } catch {
    // Nothing was kept then.
  }
}
