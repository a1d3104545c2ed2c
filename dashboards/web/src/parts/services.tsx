// The essential services with the most dossiers this month, by the share that came online.
import { computed } from '@preact/signals'
import { serviceRows } from '../answers'
import { decimal, missing, wall } from '../format'
import { officialOf } from '../origin'
import { options } from '../options'
import { target } from '../ranks'
import { serviceName } from '../services'
import { lang, text } from '../text'
import { own, shown, type Value } from '../values'
import { Tag, officialDate } from './figure'

const most = options.density === 'near' ? 8 : 5

const listed = computed(() =>
  serviceRows.value
    .filter(r => r.value !== null && r.service)
    .sort((a, b) => (b.denominator ?? 0) - (a.denominator ?? 0))
    .slice(0, most)
    .sort((a, b) => b.value! - a.value!))

/** A count out of a known whole, such as 23/25; of an official figure the pointer shows the date. */
function Of({ label, value }: { label: string; value: Value | undefined }) {
  const whole = value?.denominator ?? officialOf(value)?.denominator ?? null
  const count = value?.value == null ? missing : decimal(value.value, 0, lang)
  return <span class="of" title={officialDate(value)}>{label} <output aria-live="off">{count}{whole === null ? '' : '/' + decimal(whole, 0, lang)}</output></span>
}

export function Services() {
  const goal = target.value
  return (
    <section class="panel services" data-kpi="online_dossier_rate">
      <header>
        <h2>{text.services}</h2>
        <span class="side">
          <Of label={text.fullOnline} value={own('essential_services_full_online').value} />
          <Of label={text.onPortal} value={own('essential_services_deployed').value} />
        </span>
      </header>
      {listed.value.length === 0 ? <p class="empty">{shown.value === 0 ? text.waiting : text.noData}</p> : (
        <table style={{ flexGrow: listed.value.length / most }}>
          <thead><tr><th class="n">#</th><th>{text.service} <Tag value={own('online_dossier_rate').value} /></th><th class="bars" colSpan={2}>{text.serviceOnline}</th><th class="num volume">{text.serviceMonth}</th></tr></thead>
          <tbody>
            {listed.value.map((row, i) => (
              <tr key={row.service}>
                <td class="n">{i + 1}</td>
                <td class="name">{serviceName(String(row.service))}</td>
                <td class="bars"><Gauge rate={row.value!} goal={goal} /></td>
                <td class="num rate"><output aria-live="off">{wall(row.value, 'ratio', lang).number}</output></td>
                <td class="num volume"><output aria-live="off">{decimal(row.denominator ?? 0, 0, lang)}</output></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

/** A bar of a rate from 0 to 100 % with the target as a white mark. */
export function Gauge({ rate, goal, paint }: { rate: number | null; goal: number | null; paint?: string }) {
  const reached = goal !== null && rate !== null && rate >= goal
  return (
    <span class="gauge" aria-hidden="true">
      {rate !== null && <i class={paint ?? (reached ? 'c4' : 'own')} style={{ transform: `scaleX(${Math.min(1, rate).toFixed(4)})` }} />}
      {goal !== null && <b style={{ left: (goal * 100).toFixed(2) + '%' }} />}
    </span>
  )
}
