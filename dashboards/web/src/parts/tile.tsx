// A tile: one KPI with its history, its change, its target and what was officially published.
import { computed } from '@preact/signals'
import { changes, definitions, sparks } from '../answers'
import { now, shownNow } from '../clock'
import { area, line, type Frame } from '../charts'
import { change, day, decimal, exact, minute, month, prose } from '../format'
import { healthBooks, type Shown } from '../kpis'
import { officialOf } from '../origin'
import { beat, lateSources, link } from '../link'
import { lang, text } from '../text'
import { own, shown, type Value } from '../values'
import { Figure, Official, Tag, asOfText } from './figure'
import { Arrow, Check } from './icons'

const quarterMinute = computed(() => Math.floor(now.value / 15_000))

/** Whether a value is older than its KPI expects while the server says that data are late. */
function isStale(v: Value | undefined, expect: number): boolean {
  if (!v?.as_of || (link.value !== 'live' && link.value !== 'late')) return false
  if (lateSources.value.length === 0 && beat.value?.caught_up !== false) return false
  return quarterMinute.value * 15 - Date.parse(v.as_of) / 1000 > expect
}

/** Sparkline of the days; the newest day is not over and is left out. */
function Spark({ kpi }: { kpi: string }) {
  const values = sparks[kpi]!.value.slice(0, -1)
  const known = values.filter(v => v !== null)
  if (known.length < 5) return <svg class="spark" aria-hidden="true" />
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const frame: Frame = { width: 100, height: 40, top: high, bottom: low - (high - low) * 0.08, span: values.length - 1 }
  return (
    <svg class="spark" viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">
      <path class="area" d={area(frame, values)} />
      <path class="line" d={line(frame, values)} />
    </svg>
  )
}

function Delta({ shown: t, unit }: { shown: Shown; unit: string }) {
  const by = changes[t.kpi]!.value
  if (by === null || !t.compare) return <div class="change" />
  const better = definitions.value.get(t.kpi)?.better ?? 'higher'
  const flat = Math.abs(by) < 0.0005
  const good = flat || better === 'neutral' ? 'flat' : by > 0 === (better === 'higher') ? 'good' : 'poor'
  return (
    <div class="change">
      <p class={'delta ' + good}>{!flat && <Arrow up={by > 0} />}<output aria-live="off">{change(by, unit === 'ratio' ? 'ratio' : 'percent', lang)}</output></p>
      <p class="versus">{t.compare.versus}</p>
    </div>
  )
}

// What stands where the change of other tiles does.
function Integrated() {
  const share = own('health_book_integration_rate').value?.value
  if (share == null) return <div class="change" />
  return (
    <div class="change">
      <p class="delta flat"><output aria-live="off">{prose(share, 'ratio', lang)}</output></p>
      <p class="versus">{text.integrated}</p>
    </div>
  )
}

/** Bar towards the target; without one only what was published. */
function Goal({ value, hero }: { value: Value | undefined; hero: boolean }) {
  const target = value?.target ?? null
  if (target === null || !value || value.value === null) return <Official value={value} lines={hero ? 1 : 2} />
  const share = target === 0 ? 1 : value.value / target
  return (
    <>
      <div class="bar" aria-hidden="true"><i style={{ transform: `scaleX(${Math.min(1, Math.max(0, share)).toFixed(4)})` }} /></div>
      <p class="goal">
        <span>{text.target} <output aria-live="off">{prose(target, value.unit, lang)}</output></span>
        <span class="share">{share >= 1 ? <><Check /> {text.reached}</> : <output aria-live="off">{Math.floor(share * 100)}%</output>}</span>
      </p>
      {officialOf(value) && <Official value={value} lines={1} short />}
    </>
  )
}

function detail(t: Shown, v: Value): string {
  if (v.value === null) return v.suppressed ? text.suppressed : text.noData
  if (v.unit === 'ratio') return v.denominator === null ? '' : decimal(v.denominator, 0, lang) + ' ' + text.dossiers
  // Below a tỷ the rounded line would say less than the number above it.
  const line = v.unit === 'vnd' && Math.abs(v.value) < 1e9 ? `${decimal(v.value, 0, lang)} ${lang === 'vi' ? 'đồng' : 'VND'}` : exact(v.value, v.unit, lang)
  return line + (t.period === '365d' ? ' · ' + text.savingsPeriod : '')
}

/** One KPI. hero makes it the largest figure of the wall. */
export function Tile({ shown: t, hero = false }: { shown: Shown; hero?: boolean }) {
  const v = own(t.kpi).value
  const stale = isStale(v, t.expect)
  const old = stale && v?.as_of ? `${text.staleAt} ${minute(Date.parse(v.as_of))} ${day(Date.parse(v.as_of)).slice(0, 5)}` : ''
  return (
    <section class={'tile' + (hero ? ' hero' : '') + (stale ? ' stale' : '')} data-kpi={t.kpi} data-status={v?.status}>
      <header><h2>{t.label}</h2><span class="asof">{asOfText(v)}</span></header>
      <p class="figure"><Figure value={v?.value} unit={v?.unit ?? ''} />{t.period === 'month' && <span class="period">{text.month(month(shownNow()))}</span>}</p>
      <p class="exact"><span>{old || (v ? detail(t, v) : shown.value === 0 ? text.waiting : text.noData)}</span><Tag value={v} /></p>
      <div class="trend">{t === healthBooks ? <Integrated /> : <Delta shown={t} unit={v?.unit ?? ''} />}<Spark kpi={t.kpi} /></div>
      <Goal value={v} hero={hero} />
    </section>
  )
}
