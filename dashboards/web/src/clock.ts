// The one timer of the page, and the server's time: clocks of signage computers drift.
import { signal } from '@preact/signals'
import { options } from './options'

/** Milliseconds to add to this machine's clock to have the server's. */
let ahead = 0
let known = false

/** The server's time now, in milliseconds. */
export const serverNow = (): number => Date.now() + ahead

/** The server's time at the last second, in milliseconds. */
export const now = signal(Date.now())

/** The moment that the wall shows: now, or that of a replay. */
export const shownNow = (): number => (options.at ? Date.parse(options.at) : serverNow())

/** Learns the server's time from a frame that has just come. */
export function learnTime(serverTime: string): void {
  const measured = Date.parse(serverTime) - Date.now()
  if (Number.isNaN(measured)) return
  // A frame that came late makes the server look behind, never ahead: a step back is taken slowly.
  ahead = !known || measured > ahead || ahead - measured > 2000 ? measured : ahead + (measured - ahead) / 8
  known = true
}

/** Takes what was known of the server's time before a reload, until a frame tells it anew. */
export function assumeAhead(ms: number): void {
  if (!known && Number.isFinite(ms)) ahead = ms
}

type Job = (nowMs: number) => void
const jobs: Job[] = []

/** Runs a job every second, for as long as the page lives. Called only while the page starts. */
export function everySecond(job: Job): void {
  jobs.push(job)
}

/** Starts the timer. It ticks just after each full second of the server, so that the clock does not stutter. */
export function startClock(): void {
  const tick = (): void => {
    setTimeout(tick, 1005 - (((serverNow() % 1000) + 1000) % 1000)) // first, so that a job that throws does not stop the clock
    now.value = serverNow()
    for (const job of jobs) job(now.value)
  }
  tick()
}
