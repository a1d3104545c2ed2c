// Alerts are read off the data: values under their thresholds, silent sources, ingestion that is behind. Nobody's handling
// of them is shown, since nobody tells the wall.
import { computed, signal } from '@preact/signals'
import { definitions } from './answers'
import { serverNow } from './clock'
import { day, minute, prose } from './format'
import { hero, onTime, online, accounts, healthBooks } from './kpis'
import { beat, lag, lateSources } from './link'
import { nameOf, provinceOf } from './ranks'
import { lang, text } from './text'
import { all, scope, type Value } from './values'

export type Level = 'bad' | 'warn' | 'info'

export interface Alert {
  key: string
  level: Level
  where: string
  what: string
  /** When it began, where that is known; else the time of its figure. */
  time: string
  began: boolean
}

const levels: readonly Level[] = ['bad', 'warn', 'info']
const short = new Map([hero, online, onTime, accounts, healthBooks].map(t => [t.kpi, t.label]))
/** So many provinces with the same trouble are one alert. */
const together = 3

// When each value's trouble began, by key. Only what this wall saw begin has a time: what is there in its first seconds was before.
const began = new Map<string, number | null>()
const startedAt = Date.now()
const settled = 20_000

/** What is kept over a reload. */
export const dumpBegan = (): [string, number | null][] => [...began].slice(0, 500)
/** Puts back what was kept. */
export function restoreBegan(entries: readonly [string, number | null][]): void {
  for (const [key, at] of entries) began.set(key, at)
}

const watched = signal<readonly [string, Value][]>([])

/** Looks through the values for trouble; called after each flush. */
export function watchValues(): void {
  const found: [string, Value][] = []
  const keys = new Set<string>()
  for (const [key, v] of all()) {
    if (v.status !== 'bad' && v.status !== 'warn') continue
    if (v.unit === 's') continue // The age of the data: a quiet source is not late, and who is late comes in frames of its own.
    // The nation's values on a province's wall are for comparison.
    if (key.startsWith('national/') && scope.value !== 'national') continue
    keys.add(key)
    if (!began.has(key)) began.set(key, Date.now() - startedAt < settled ? null : serverNow())
    found.push([key, v])
  }
  for (const key of began.keys()) if (!keys.has(key)) began.delete(key)
  watched.value = found
}

const nameOfKpi = (id: string): string => short.get(id) ?? text.shortNames[id] ?? definitions.value.get(id)?.name[lang] ?? id
const clock = (at: number): string => (day(at) === day(serverNow()) ? minute(at) : day(at).slice(0, 5))

// What is wrong with a value, and with the worst of several where it is named.
function sentence(v: Value, worst = ''): string {
  const d = definitions.value.get(v.kpi)
  const limit = (v.status === 'bad' ? d?.thresholds?.warn : undefined)?.value ?? d?.thresholds?.good?.value ?? v.target ?? null
  const lower = d?.better === 'lower'
  const show = (n: number | null): string => prose(n, v.unit, lang)
  const value = show(v.value)
  const name = nameOfKpi(v.kpi)
  const against = limit === null ? '' : (lower ? text.above : text.below) + ' ' + show(limit)
  if (worst === '') return `${name} ${value}${against && ', ' + against}`
  return `${name}${against && ' ' + against}, ${lower ? text.highestOf : text.lowestOf} ${worst} ${value}`
}

function timeOf(key: string, v: Value): { time: string; began: boolean } {
  const at = began.get(key)
  if (at) return { time: clock(at), began: true }
  return { time: v.as_of ? clock(Date.parse(v.as_of)) : '', began: false }
}

function ofProvinces(list: [string, Value][]): Alert[] {
  const lower = definitions.value.get(list[0]![1].kpi)?.better === 'lower'
  list.sort(([, a], [, b]) => ((a.value ?? 0) - (b.value ?? 0)) * (lower ? -1 : 1))
  const [key, worst] = list[0]!
  if (list.length < together) {
    return list.map(([k, v]) => ({ key: k, level: v.status as Level, where: nameOf(v.province!), what: sentence(v), ...timeOf(k, v) }))
  }
  const where = lang === 'vi' ? `${list.length} địa phương` : `${list.length} provinces`
  const what = sentence(worst, nameOf(worst.province!))
  return [{ key: 'provinces/' + worst.kpi + '/' + worst.status, level: worst.status as Level, where, what, ...timeOf(key, worst) }]
}

/** The open alerts, gravest first. */
export const alerts = computed<readonly Alert[]>(() => {
  const list: Alert[] = []
  for (const late of lateSources.value) {
    const evaluator = late.source === 'evaluator'
    list.push({
      key: 'late/' + late.source, level: evaluator ? 'bad' : 'warn', where: evaluator ? text.evaluator : `${text.from} ${late.source}`,
      what: evaluator ? text.notComputed : text.silent, time: clock(Date.parse(late.since)), began: true,
    })
  }
  if (beat.value?.caught_up === false && (lag.value ?? 0) > 60) {
    list.push({ key: 'behind', level: 'warn', where: text.behind, what: text.behindWhat, time: '', began: false })
  }
  const mine = provinceOf(scope.value)
  const groups = new Map<string, [string, Value][]>()
  for (const [key, v] of watched.value) {
    if (v.province && v.province !== mine) {
      const kind = v.kpi + '/' + v.status
      const group = groups.get(kind)
      group ? group.push([key, v]) : groups.set(kind, [[key, v]])
      continue
    }
    list.push({ key, level: v.status as Level, where: mine ? nameOf(mine) : text.nation, what: sentence(v), ...timeOf(key, v) })
  }
  for (const group of groups.values()) list.push(...ofProvinces(group))
  return list.map((a, i) => [a, i] as const).sort(([a, i], [b, j]) => levels.indexOf(a.level) - levels.indexOf(b.level) || i - j).map(([a]) => a)
})

/** How many alerts there are of each level. */
export const counts = computed(() => levels.map(level => [level, alerts.value.filter(a => a.level === level).length] as const))
