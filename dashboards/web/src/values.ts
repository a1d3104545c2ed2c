// The values on the wall. Frames change what is pending; the page sees changes at most once a second, all in one batch.
import { batch, computed, signal, type ReadonlySignal } from '@preact/signals'

export interface Baseline {
  value: number
  as_of: string
  source: string
}

/** The newest figure that was officially published. */
export interface Official {
  value: number
  numerator?: number | null
  denominator?: number | null
  qualifier?: string | null
  as_of: string
  source: string
}

/** A value as the feed sends it; members that the wall does not read are left out. */
export interface Value {
  kpi: string
  period: string
  province?: string
  unit: string
  as_of: string | null
  value: number | null
  numerator: number | null
  denominator: number | null
  baseline?: Baseline | null
  official?: Official | null
  target: number | null
  status: 'good' | 'warn' | 'bad' | 'neutral' | 'no_data'
  /** Place among the provinces, of a province's value. */
  rank?: { position: number; of: number } | null
  /** Too small to be shown. */
  suppressed?: boolean
  coverage?: { reporting: number; expected: number } | null
  notes?: string[]
}

/** The scope whose tiles are shown: "national", or "province:48". */
export const scope = signal('')

const held = new Map<string, Value>()
const pending = new Map<string, Value | null>()
const version = signal(0)
/** Counts flushes; 0 while nothing was ever shown. */
export const shown: ReadonlySignal<number> = version

const keyOf = (scope: string, kpi: string, period: string): string => `${scope}/${kpi}/${period}`
const minimumPause = 1000
let lastFlush = 0
let timer: ReturnType<typeof setTimeout> | undefined

/** Takes values of a scope; replace drops those of the scope that are not among them. */
export function take(of: string, values: readonly Value[], replace: boolean): void {
  if (replace) {
    const prefix = of === 'provinces' ? 'province:' : of + '/'
    for (const keys of [held, pending]) for (const key of keys.keys()) if (key.startsWith(prefix)) pending.set(key, null)
  }
  for (const v of values) pending.set(keyOf(v.province ? 'province:' + v.province : of, v.kpi, v.period), v)
  if (timer !== undefined || pending.size === 0) return
  timer = setTimeout(flush, Math.max(0, lastFlush + minimumPause - Date.now()))
}

function flush(): void {
  timer = undefined
  lastFlush = Date.now()
  for (const [key, value] of pending) value === null ? held.delete(key) : held.set(key, value)
  pending.clear()
  batch(() => { version.value++ })
}

/** Everything held, to be kept over a reload. */
export const dump = (): [string, Value][] => [...held]

/** Puts back what was kept. */
export function restore(entries: readonly [string, Value][]): void {
  for (const [key, value] of entries) held.set(key, value)
  version.value++
}

/** Forgets all values. */
export function clear(): void {
  held.clear()
  pending.clear()
  version.value = 0
}

const cells = new Map<string, ReadonlySignal<Value | undefined>>()

/** The value of a KPI of a scope over a period; the period may be "", then whichever there is. */
export function cell(of: string, kpi: string, period = ''): ReadonlySignal<Value | undefined> {
  const key = keyOf(of, kpi, period)
  let found = cells.get(key)
  if (!found) {
    found = computed(() => {
      version.value
      if (period !== '') return held.get(key)
      for (const [k, v] of held) if (k.startsWith(key)) return v
      return undefined
    })
    cells.set(key, found)
  }
  return found
}

/** The value of a KPI in the wall's own scope: the feed's, else the one that was asked for. */
export function own(kpi: string): ReadonlySignal<Value | undefined> {
  let found = cells.get(kpi)
  if (!found) {
    found = computed(() => cell(scope.value, kpi).value ?? cell('asked', kpi).value)
    cells.set(kpi, found)
  }
  return found
}

/** Every value held. Changes with each flush. */
export function all(): IterableIterator<[string, Value]> {
  version.value
  return held.entries()
}
