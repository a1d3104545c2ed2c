// Authentications over the day, against yesterday and what is usual.
import { computed } from '@preact/signals'
import { band, level, line, place, roundUp, type Frame } from '../charts'
import { shownNow, now } from '../clock'
import { buckets, greatest, today, usual, yesterday } from '../daycurve'
import { dayStart, decimal, prose } from '../format'
import { lang, text } from '../text'
import { own } from '../values'
import { Figure, Tag } from './figure'

const steps = 3
const frame = computed<Frame>(() => ({ width: 1000, height: 100, top: roundUp(greatest.value, steps), bottom: 0, span: buckets }))
// A curve is of the middle of its buckets, so a point stands half a bucket on.
const shifted = (curve: readonly (number | null)[]): Frame => ({ ...frame.value, span: buckets, width: curve.length === 0 ? 0 : frame.value.width })
const todayPath = computed(() => line(shifted(today.value.curve), today.value.curve))
const yesterdayPath = computed(() => line(shifted(yesterday.value.curve), yesterday.value.curve))
const bandPath = computed(() => band(frame.value, usual.value, 3, 6))
const nowAt = computed(() => Math.floor((shownNow() - dayStart(now.value && shownNow())) / 60_000) / 14.4)

// The newest point of today.
const tip = computed(() => {
  const curve = today.value.curve
  for (let i = curve.length - 1; i >= 0; i--) {
    const v = curve[i]
    if (v !== null && v !== undefined) return { left: place(frame.value, i) / 10 + '%', top: level(frame.value, v) + '%' }
  }
  return undefined
})

const hours = [0, 6, 12, 18, 24]

export function Series() {
  const total = own('auth_transactions').value
  const rate = own('auth_success_rate').value
  return (
    <section class="panel series" data-kpi="auth_transactions">
      <header>
        <h2>{text.authToday}</h2>
        <p class="total"><Figure value={total?.value} unit="count" after={text.times} /><Tag value={total} /></p>
      </header>
      <div class="chart" aria-hidden="true">
        {greatest.value > 0 && [0, 1, 2, 3].map(i => (
          <span class="y" style={{ top: (100 - (i / steps) * 100).toFixed(2) + '%' }}>{decimal((frame.value.top / steps) * i, 0, lang)}</span>
        ))}
        <div class="plot">
          <svg viewBox="0 0 1000 100" preserveAspectRatio="none">
            {[0, 1, 2, 3].map(i => <path class="grid" d={`M0 ${100 - (i / steps) * 100}H1000`} />)}
            <path class="band" d={bandPath} />
            <path class="before" d={yesterdayPath} />
            <path class="line" d={todayPath} />
          </svg>
          <i class="now" style={{ left: nowAt.value.toFixed(2) + '%' }} />
          {tip.value && <i class="tip" style={tip.value} />}
        </div>
        {hours.map(h => <span class={h === 0 ? 'x first' : 'x'} style={{ left: `calc(var(--y-width) + (100% - var(--y-width)) * ${h / 24})` }}>{h} {text.hour}</span>)}
      </div>
      <p class="legend">
        <span><i class="today" />{text.today}</span>
        <span><i class="before" />{text.yesterday}</span>
        {usual.value.length > 0 && <span><i class="band" />{text.usual}</span>}
        {rate?.value != null && <span class={'rate ' + rate.status}>{text.success} <output aria-live="off">{prose(rate.value, 'ratio', lang)}</output></span>}
      </p>
    </section>
  )
}
