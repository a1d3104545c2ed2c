// What lets the page run for months: reloads at quiet moments, a watchdog, no burnt-in pixels, no sleeping screen.
import { signal } from '@preact/signals'
import { get } from './access'
import { everySecond } from './clock'
import { minute } from './format'
import { link } from './link'
import { save } from './saved'

declare const WATCHDOG: string

export interface Config {
  build?: string
  version?: string
  title?: { vi: string; en: string }
  subtitle?: { vi: string; en: string }
}

/** What the server says of itself; empty until it answered. */
export const config = signal<Config>({})

const heapLimit = 150e6
const idleAfter = 60_000
const dailyReload = '03:30'
let touchedAt = 0

/** When a key or pointer was last used, in milliseconds of this machine's clock. */
export const lastTouch = (): number => touchedAt

/** Starts all guards. Called once. */
export function startGuards(): void {
  for (const event of ['keydown', 'pointerdown'] as const) addEventListener(event, () => { touchedAt = Date.now() }, { passive: true })
  const started = Date.now()
  const myBuild = document.querySelector<HTMLMetaElement>('meta[name="ioc-build"]')?.content ?? ''
  const reload = (): void => {
    // Only a wall that hears its server may reload: during an outage the page would be gone.
    if (link.peek() !== 'live' && link.peek() !== 'late' && link.peek() !== 'replay') return
    if (Date.now() - touchedAt < idleAfter) return
    save()
    location.reload()
  }
  let seconds = 0
  everySecond(nowMs => {
    seconds++
    if (seconds % 60 === 5) askConfig()
    if (seconds % 60 === 30) {
      const build = config.peek().build
      const heap = (performance as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize ?? 0
      const daily = minute(nowMs) === dailyReload && Date.now() - started > 3_600_000
      const changed = build !== undefined && myBuild !== '' && build !== myBuild
      // A new build may reload once in five minutes at most: a server that never serves it must not make walls spin.
      if ((changed && Date.now() - started > 300_000 * retries()) || heap > heapLimit || daily) {
        if (changed) countReload(build!)
        reload()
      }
    }
    if (seconds % 180 === 0) shift(seconds / 180)
  })
  void askConfig()
  startWatchdog()
  keepAwake()
}

// Reloads for the same build are counted, so that the first is at once and others wait.
const mark = 'ioc.reloadedFor'
const retries = (): number => (sessionStorage.getItem(mark) === config.peek().build ? 1 : 0)
const countReload = (build: string): void => sessionStorage.setItem(mark, build)

async function askConfig(): Promise<void> {
  try {
    config.value = await get<Config>('/wall/config.json')
  } catch {
    // Defaults are good enough, and the next minute asks again.
  }
}

function startWatchdog(): void {
  if (typeof WATCHDOG === 'undefined') return
  const worker = new Worker(new URL(WATCHDOG, import.meta.url), { type: 'module' })
  worker.onmessage = () => location.reload()
  everySecond(() => worker.postMessage(0))
}

// Moves the whole wall by two pixels around a square, one of eight steps every three minutes.
function shift(step: number): void {
  const [x, y] = [[0, 0], [2, 0], [2, 2], [0, 2], [-2, 2], [-2, 0], [-2, -2], [0, -2]][step % 8]!
  document.documentElement.style.setProperty('--shift-x', x + 'px')
  document.documentElement.style.setProperty('--shift-y', y + 'px')
}

function keepAwake(): void {
  const ask = (): void => {
    if (document.visibilityState === 'visible') navigator.wakeLock?.request('screen').catch(() => undefined)
  }
  document.addEventListener('visibilitychange', ask)
  ask()
}
