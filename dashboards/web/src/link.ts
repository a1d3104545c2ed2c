// How the wall stands with the server: live, late, lost, or never yet.
import { computed, signal } from '@preact/signals'
import { Feed } from './feed'
import type { Beat, LateSource } from './frames'
import { everySecond, learnTime, now, serverNow } from './clock'
import { options } from './options'
import { needsKey } from './access'
import { shown, take } from './values'

export type Link = 'live' | 'late' | 'lost' | 'refused' | 'waiting' | 'replay'

/** Without a frame for so long the wall says that it is lost. */
const lostAfter = 10_000
/** Data older than this are late, when the server says that something is. */
const lateAfter = 60_000

/** The close code of a key that was revoked or has expired. */
const revoked = 4103

/** Sources that the server misses. */
export const lateSources = signal<readonly LateSource[]>([])
/** The newest beat. */
export const beat = signal<Beat | null>(null)
/** The event time up to which the data are there, in milliseconds; 0 when unknown. */
export const asOf = signal(0)

const heardAt = signal(0)
const refused = signal(false)
const startedAt = serverNow()

/** Seconds between the server's time and the data; null when unknown. */
export const lag = computed(() => (asOf.value === 0 ? null : Math.max(0, (now.value - asOf.value) / 1000)))

export const link = computed<Link>(() => {
  if (options.at) return 'replay'
  if (refused.value) return 'refused'
  const silent = now.value - (heardAt.value || startedAt)
  if (heardAt.value === 0) return shown.value > 0 || silent > lostAfter ? 'lost' : 'waiting'
  if (silent > lostAfter) return 'lost'
  if (shown.value === 0) return 'waiting'
  return isLate() ? 'late' : 'live'
})

// A quiet source is not late: old data count only when the server misses a source or has not read all that waits.
function isLate(): boolean {
  if (lateSources.value.some(s => s.source === 'evaluator')) return true
  const old = asOf.value !== 0 && now.value - asOf.value > lateAfter
  return old && (lateSources.value.length > 0 || beat.value?.caught_up === false)
}

/** Moves the watermark forward. */
export function reach(time: string | null | undefined): void {
  const at = time ? Date.parse(time) : NaN
  if (at > asOf.peek()) asOf.value = at
}

/** Starts the feed with these scopes. Called once. */
export function startFeed(scopes: readonly string[]): void {
  const url = (location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/api/v1/live'
  const feed = new Feed(url, scopes, {
    values(scope, values, whole) {
      take(scope, values, whole)
    },
    beat(frame) {
      beat.value = frame
      reach(frame.watermark)
    },
    late(sources) {
      lateSources.value = sources
    },
    heard(serverTime) {
      if (serverTime) learnTime(serverTime)
      heardAt.value = serverNow()
    },
    ended(code, again) {
      refused.value = !again
      if (code === revoked) needsKey.value = true
    },
  })
  feed.connect()
  everySecond(() => { if (!needsKey.value) feed.tick() })
}
