// The foot: who sends, how much, how far behind, and whether the data are made up.
import { computed, effect, signal } from '@preact/signals'
import { serverNow } from '../clock'
import { age, decimal, wall } from '../format'
import { config } from '../guard'
import { lag, link } from '../link'
import { isSimulated } from '../origin'
import { options } from '../options'
import { lang, text } from '../text'
import { all, own, scope } from '../values'
import { officialDate } from './figure'

/** Whether any value on the wall holds simulated events. */
export const illustrative = computed(() => {
  for (const [, v] of all()) if (isSimulated(v)) return true
  return false
})

// Authentications a second, of what the counter of today grew by in the last half minute.
const rate = signal<number | null>(null)
const samples: { at: number; value: number }[] = []
effect(() => {
  const value = own('auth_transactions').value?.value
  if (value == null) return
  const at = serverNow()
  if (samples.length > 0 && value < samples.at(-1)!.value) samples.length = 0 // Midnight, or a correction.
  samples.push({ at, value })
  while (samples.length > 60 || (samples.length > 2 && at - samples[0]!.at > 30_000)) samples.shift()
  const first = samples[0]!
  rate.value = at - first.at < 5000 ? null : (value - first.value) / ((at - first.at) / 1000)
})

// Of an official figure with its date, so that nobody takes it for who is sending now.
function Count({ kpi, label }: { kpi: string; label: string }) {
  const value = own(kpi).value
  if (value?.value == null) return null
  const published = officialDate(value)
  return <span><output aria-live="off">{decimal(value.value, 0, lang)}</output> {label}{published && <small> ({published})</small>}</span>
}

function Lag() {
  const seconds = lag.value
  if (seconds === null || link.value === 'replay') return null
  const [number, unit] = seconds < 99.95 ? Object.values(wall(seconds, 's', lang)) : age(seconds, lang).split(' ')
  const level = link.value === 'lost' ? ' bad' : link.value === 'late' ? ' warn' : ''
  return <span class={'lag' + level}>{text.lag} <output aria-live="off">{number}</output> {unit}</span>
}

export function Footer() {
  const coverage = own('dossiers_received').value?.coverage
  const version = config.value.version
  return (
    <footer class="foot">
      <Count kpi="connected_agencies_ministry" label={text.ministries} />
      {coverage && scope.value === 'national' && <span><output aria-live="off">{coverage.reporting}/{coverage.expected}</output> {text.sending}</span>}
      <Count kpi="connected_agencies_state_enterprise" label={text.enterprises} />
      {rate.value !== null && link.value !== 'lost' && <span><output aria-live="off">{decimal(rate.value, rate.value < 99.95 ? 1 : 0, lang)}</output> {text.authRate}</span>}
      <Lag />
      <span class="gap" />
      {illustrative.value && <strong class="illustrative">{text.illustrative}</strong>}
      <span class="source">{illustrative.value ? text.sourceSimulated : text.source}</span>
      <span>{[options.screen && `${text.screen} ${options.screen}`, version].filter(Boolean).join(' · ')}</span>
    </footer>
  )
}
