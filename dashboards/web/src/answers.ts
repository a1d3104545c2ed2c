// Answers of the HTTP API, as far as the wall reads them, and what it keeps of those that it polls.
import { signal } from '@preact/signals'
import { serverNow, shownNow } from './clock'
import { dayStart, isoDay } from './format'
import { accounts, mapKpi, others, tiles } from './kpis'
import { options } from './options'
import { kpiPath, poll } from './poll'
import { cell, scope, shown, take, type Value } from './values'

export interface Row {
  value: number | null
  numerator: number | null
  denominator: number | null
  [dimension: string]: string | number | null | boolean | undefined
}
export interface Point {
  time: string
  value: number | null
}
export interface Answer extends Omit<Value, 'notes' | 'kpi' | 'period'> {
  id: string
  scope: string
  notes?: { code: string }[]
  rows?: Row[]
  series?: Point[]
  compare?: { value: number | null; change: number | null }
}
export interface Definition {
  id: string
  name: { vi: string; en: string }
  unit: string
  better: 'higher' | 'lower' | 'neutral'
  dimensions: string[]
  thresholds?: { good?: { value: number } | null; warn?: { value: number } | null } | null
}

/** What the catalogue says of each KPI. */
export const definitions = signal<ReadonlyMap<string, Definition>>(new Map())
/** Sparklines by KPI: values by day, null where there are none. */
export const sparks = Object.fromEntries(tiles.map(t => [t.kpi, signal<readonly (number | null)[]>([])]))
/** Changes by KPI: the difference of a ratio, else the relative change. */
export const changes = Object.fromEntries(tiles.map(t => [t.kpi, signal<number | null>(null)]))
/** Online rate and dossiers of each essential service this month. */
export const serviceRows = signal<readonly Row[]>([])
/** Data quality by criterion. */
export const qualityRows = signal<readonly Row[]>([])

interface Asked {
  definitions: [string, Definition][]
  sparks: [string, readonly (number | null)[]][]
  changes: [string, number | null][]
  services: readonly Row[]
  quality: readonly Row[]
}

/** What was asked for and is kept over a reload. */
export const dumpAsked = (): Asked => ({
  definitions: [...definitions.peek()],
  sparks: Object.entries(sparks).map(([kpi, s]) => [kpi, s.peek()]),
  changes: Object.entries(changes).map(([kpi, s]) => [kpi, s.peek()]),
  services: serviceRows.peek(),
  quality: qualityRows.peek(),
})

/** Puts back what was kept. */
export function restoreAsked(asked: Asked): void {
  definitions.value = new Map(asked.definitions)
  for (const [kpi, values] of asked.sparks) if (sparks[kpi]) sparks[kpi].value = values
  for (const [kpi, by] of asked.changes) if (changes[kpi]) changes[kpi].value = by
  serviceRows.value = asked.services
  qualityRows.value = asked.quality
}

/** A value of the feed's shape, of an answer. */
export function valueOf(answer: Answer, period: string): Value {
  return { ...answer, kpi: answer.id, period, notes: (answer.notes ?? []).map(n => n.code) }
}

/** The status of a value by a KPI's thresholds. */
export function statusOf(id: string, value: number | null): Value['status'] {
  const d = definitions.value.get(id)
  if (value === null) return 'no_data'
  if (!d?.thresholds?.good) return 'neutral'
  const reached = (limit: number): boolean => (d.better === 'lower' ? value <= limit : value >= limit)
  if (reached(d.thresholds.good.value)) return 'good'
  return !d.thresholds.warn || reached(d.thresholds.warn.value) ? 'warn' : 'bad'
}

const ago = (days: number): string => isoDay(dayStart(shownNow()) - days * 86_400_000)
const ready = (): boolean => scope.value !== ''

/** Begins to ask. Called once, while the page starts. */
export function startAnswers(): void {
  poll<{ kpis: Definition[] }>(3600, () => '/api/v1/kpis', a => { definitions.value = new Map(a.kpis.map(d => [d.id, d])) })
  for (const t of tiles) {
    if (t.compare) {
      const period = t.compare.period
      poll<Answer>(60, () => (ready() ? kpiPath(t.kpi, { period, compare: t === accounts ? 'previous' : 'previous_elapsed' }) : ''), a => {
        const c = a.compare
        changes[t.kpi]!.value = !c || c.change === null ? null : a.unit === 'ratio' ? c.change : c.value ? c.change / Math.abs(c.value) : null
      })
    }
    if (t.spark > 0) poll<Answer>(60, () => (ready() ? kpiPath(t.kpi, { from: ago(t.spark - 1), to: ago(-1), grain: 'day' }) : ''), a => {
      sparks[t.kpi]!.value = (a.series ?? []).slice(-60).map(p => p.value)
    })
  }
  poll<Answer>(30, () => (ready() ? kpiPath(mapKpi, { period: 'month', by: 'service' }) : ''), a => { serviceRows.value = (a.rows ?? []).slice(0, 200) })
  poll<Answer>(60, () => (ready() ? kpiPath('data_quality_index', { by: 'criterion' }) : ''), a => { qualityRows.value = (a.rows ?? []).slice(0, 10) })
  for (const [id, period] of [...tiles.map(t => [t.kpi, t.period]), ...others.map(id => [id, ''])] as [string, string][]) askFor(id, period)
  if (options.at) {
    poll<Answer>(60, () => (definitions.value.size > 0 && scope.value === 'national' ? kpiPath(mapKpi, { period: 'month', by: 'province' }) : ''), a => {
      take('provinces', (a.rows ?? []).map(row => provinceValue(a, row)), true)
    })
  }
}

// A KPI that the board does not carry is asked for, so that a wall does not depend on how a board was put together.
function askFor(id: string, period: string): void {
  const path = (): string => {
    if (!ready() || (!options.at && shown.value === 0)) return ''
    return cell(scope.value, id).value ? '' : kpiPath(id, period ? { period } : {})
  }
  poll<Answer>(30, path, a => take('asked', [valueOf(a, period || 'default')], false))
}

function provinceValue(a: Answer, row: Row): Value {
  return {
    ...valueOf(a, 'month'), province: String(row.province), value: row.value, numerator: row.numerator, denominator: row.denominator,
    baseline: null, official: null, status: statusOf(a.id, row.value), as_of: a.as_of ?? new Date(serverNow()).toISOString(),
  }
}
