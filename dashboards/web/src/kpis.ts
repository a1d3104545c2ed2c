// The KPIs that the wall shows, by their ids, and what is asked about each.
import { text } from './text'

/** The KPI of the map, the ranking and the services. */
export const mapKpi = 'online_dossier_rate'

export interface Shown {
  kpi: string
  /** Its period on the wall, which is its own default. */
  period: string
  label: string
  /** What `compare` is asked for: the KPI's period, or another for a stock. */
  compare?: { period: string; versus: string }
  /** Days of the sparkline; 0 for none. */
  spark: number
  /** Seconds after which its as-of is old, once the server says that data is late. */
  expect: number
}

const dayAndHalf = 36 * 3600

export const hero: Shown = {
  kpi: 'savings_vnd_year', period: '365d', label: text.savings, spark: 60, expect: dayAndHalf,
  compare: { period: '365d', versus: text.versusYear },
}
export const online: Shown = {
  kpi: mapKpi, period: 'month', label: text.onlineRate, spark: 30, expect: 900, compare: { period: 'month', versus: text.versusMonth },
}
export const onTime: Shown = {
  kpi: 'on_time_rate', period: 'month', label: text.onTimeRate, spark: 30, expect: 900, compare: { period: 'month', versus: text.versusMonth },
}
export const accounts: Shown = {
  kpi: 'eid_accounts_activated', period: 'all', label: text.accounts, spark: 30, expect: 3600,
  compare: { period: 'month', versus: text.versusMonth },
}
export const healthBooks: Shown = {
  // Sensitive: answers over all of the past only, for closed days.
  kpi: 'health_books_created', period: 'all', label: text.healthBooks, spark: 0, expect: 2 * dayAndHalf,
}

export const tiles: readonly Shown[] = [hero, online, onTime, accounts, healthBooks]

/** Other KPIs whose values the wall uses. */
export const others: readonly string[] = [
  'auth_transactions', 'auth_success_rate', 'dossiers_received', 'health_book_integration_rate', 'data_quality_index',
  'essential_services_full_online', 'essential_services_deployed', 'connected_agencies_ministry', 'connected_agencies_state_enterprise',
]
