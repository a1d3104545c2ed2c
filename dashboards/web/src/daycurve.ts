// The curve of authentications: today and yesterday every ten minutes, and what four weeks were like.
import { computed, signal } from '@preact/signals'
import type { Answer, Point } from './answers'
import { shownNow } from './clock'
import { dayStart, isoDay } from './format'
import { kpiPath, poll } from './poll'
import { scope } from './values'

/** Ten-minute buckets of a day. */
export const buckets = 144
const step = 600_000
const dayLength = buckets * step
const kpi = 'auth_transactions'

type Curve = readonly (number | null)[]

interface Day {
  start: number
  curve: Curve
}

const none: Day = { start: 0, curve: [] }
/** Today's curve; null where there are no data, nothing after the last whole bucket. */
export const today = signal<Day>(none)
export const yesterday = signal<Day>(none)
/** The tenth and ninetieth percentile of each hour over the four weeks before, for ten minutes. */
export const usual = signal<readonly [number, number][]>([])

/** The greatest value of all curves, for the axis. */
export const greatest = computed(() => {
  let most = 0
  for (const v of today.value.curve) if (v !== null && v > most) most = v
  for (const v of yesterday.value.curve) if (v !== null && v > most) most = v
  for (const [, high] of usual.value) if (high > most) most = high
  return most
})

/** Begins to ask. Called once, while the page starts. */
export function startDayCurve(): void {
  poll<Answer>(60, () => (scope.value === '' ? '' : minutes(0)), a => {
    // Beyond the as-of nothing is known yet: a bucket that is only half there would look like a fall.
    today.value = curveOf(a.series ?? [], dayStart(shownNow()), a.as_of ? Date.parse(a.as_of) : shownNow())
  })
  poll<Answer>(1800, () => (scope.value === '' ? '' : minutes(-1)), a => {
    yesterday.value = curveOf(a.series ?? [], dayStart(shownNow()) - dayLength, shownNow())
  })
  poll<Answer>(3600, () => (scope.value === '' ? '' : kpiPath(kpi, { from: dateOf(-28), to: dateOf(0), grain: 'hour' })), a => {
    usual.value = percentiles(a.series ?? [])
  })
}

const dateOf = (days: number): string => isoDay(dayStart(shownNow()) + days * dayLength)
const minutes = (day: number): string => kpiPath(kpi, { from: dateOf(day), to: dateOf(day + 1), grain: 'minute' })

/** Adds up minutes to buckets of ten; a bucket that is not over yet is left out. */
export function curveOf(series: readonly Point[], start: number, until: number): Day {
  const sums: (number | null)[] = []
  for (const point of series) {
    const at = Math.floor((Date.parse(point.time) - start) / step)
    if (at < 0 || at >= buckets || start + (at + 1) * step > until) continue
    while (sums.length <= at) sums.push(null)
    if (point.value !== null) sums[at] = (sums[at] ?? 0) + point.value
  }
  return { start, curve: sums }
}

/** The band of each hour of the day; empty when fewer than seven days hold anything. */
export function percentiles(series: readonly Point[]): [number, number][] {
  const hours: number[][] = Array.from({ length: 24 }, () => [])
  const days = new Map<string, { hour: number; value: number }[]>()
  for (const point of series) {
    const at = Date.parse(point.time)
    const day = isoDay(at)
    const list = days.get(day) ?? []
    list.push({ hour: Math.floor((at - dayStart(at)) / 3_600_000), value: (point.value ?? 0) / 6 })
    days.set(day, list)
  }
  let counted = 0
  for (const list of days.values()) {
    // A day without a single event was before the system ran: it says nothing about what is usual.
    if (!list.some(p => p.value > 0)) continue
    counted++
    for (const p of list) hours[p.hour]?.push(p.value)
  }
  if (counted < 7) return []
  return hours.map(values => {
    values.sort((a, b) => a - b)
    const at = (share: number): number => values[Math.round(share * (values.length - 1))] ?? 0
    return [at(0.1), at(0.9)]
  })
}
