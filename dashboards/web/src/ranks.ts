// The provinces by the KPI of the map: order, class of colour, and which of them is in focus.
import { computed, signal } from '@preact/signals'
import { map34 } from '../map/map34'
import { mapKpi } from './kpis'
import { own, cell, scope, type Value } from './values'

export interface Ranked {
  id: string
  name: string
  /** The rate, 0 to 1; null when there is none. */
  rate: number | null
  /** From 1, equal rates share a rank; 0 without a rate. */
  rank: number
  value: Value | undefined
}

const names = new Map(map34.provinces.map(p => [p.id, p.name]))

/** The bare name of a province. */
export const nameOf = (id: string): string => names.get(id) ?? id

/** The province of a scope such as "province:48"; empty for the nation. */
export const provinceOf = (scope: string): string => (scope.startsWith('province:') ? scope.slice(9) : '')

/** Where the colour changes: below the first is class 0. */
export const breaks = [0.5, 0.6, 0.7, 0.8] as const

/** The class of a rate, 0 to 4. What is shown as 80,0 is of the class of 80,0. */
export function classOf(rate: number): number {
  const seen = Math.round(rate * 1000) / 1000
  return breaks.filter(b => seen >= b).length
}

/** All provinces, best first; those without a rate last, each group in the order of the map. */
export const ranking = computed<readonly Ranked[]>(() => {
  const list = map34.provinces.map((p): Ranked => {
    const value = cell('province:' + p.id, mapKpi).value
    return { id: p.id, name: p.name, rate: value?.value ?? null, rank: 0, value }
  })
  list.sort((a, b) => (b.rate ?? -1) - (a.rate ?? -1) || a.name.localeCompare(b.name, 'vi'))
  list.forEach((p, i) => {
    const above = list[i - 1]
    if (p.rate !== null) p.rank = above && above.rate === p.rate ? above.rank : i + 1
  })
  return list
})

/** Those that have a rate. */
export const rated = computed(() => ranking.value.filter(p => p.rate !== null))

/** Rank of each province by id. */
export const byId = computed(() => new Map(ranking.value.map(p => [p.id, p])))

/** The lowest three, lowest first; nothing when fewer than six have a rate. */
export const lowest = computed(() => (rated.value.length < 6 ? [] : rated.value.slice(-3).reverse()))

/** The target of the map's KPI, 0 to 1, or null. */
export const target = computed(() => own(mapKpi).value?.target ?? null)

/** The nation's rate, 0 to 1, or null. */
export const average = computed(() => (cell('national', mapKpi).value ?? cell('asked', mapKpi).value)?.value ?? null)

/** The province in focus; empty for none. */
export const focus = signal('')

/** Moves the focus up or down the ranking: 1 is to the province that ranks just above. */
export function moveFocus(by: number): void {
  const mine = provinceOf(scope.peek())
  if (mine !== '') {
    focus.value = mine
    return
  }
  const list = rated.peek()
  if (list.length === 0) {
    focus.value = ''
    return
  }
  const at = list.findIndex(p => p.id === focus.peek())
  focus.value = list[at < 0 ? list.length - 1 : (at - by + list.length) % list.length]!.id
}
