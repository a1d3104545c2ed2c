// What is wrong now, as the data tell it.
import { computed, signal } from '@preact/signals'
import { alerts, counts } from '../alerts'
import { now } from '../clock'
import { link } from '../link'
import { options } from '../options'
import { text } from '../text'
import { own, shown } from '../values'
import { Tag } from './figure'
import { Check, LevelIcon } from './icons'

const most = options.density === 'near' ? 4 : 3
const minuteNow = computed(() => Math.floor(now.value / 60_000))
const spoken = signal('')
let spokenAt = 0

// One sentence a minute is enough for who listens to the wall.
function summary(): string {
  if (minuteNow.value !== spokenAt) {
    spokenAt = minuteNow.value
    spoken.value = [text.alertSummary(alerts.peek().length), ...alerts.peek().slice(0, most).map(a => `${a.where}: ${a.what}`)].join('. ')
  }
  return spoken.value
}

export function Alerts() {
  const list = alerts.value
  const over = list.length - most
  return (
    <section class="panel alerts">
      <header>
        <h2>{text.alerts}</h2>{alerts.value.length > 0 && <Tag value={own('online_dossier_rate').value} />}
        <span class="side">
          {over > 0 && <span class="more">{text.more(over)}</span>}
          {counts.value.filter(([, n]) => n > 0).map(([level, n]) => (
            <span class="count" key={level} title={text.levels[level]}><LevelIcon level={level} /><output aria-live="off" aria-label={`${n} ${text.levels[level]}`}>{n}</output></span>
          ))}
        </span>
      </header>
      {list.length === 0 && <p class="empty">{shown.value === 0 || link.value === 'waiting' ? text.waiting : <><Check /> {text.noAlerts}</>}</p>}
      <ul>
        {list.slice(0, most).map(a => (
          <li key={a.key} class={a.level}>
            <LevelIcon level={a.level} named />
            <b>{a.where}</b>
            <span class="when">{a.began && a.time ? text.since(a.time) : a.time}</span>
            <p>{a.what}</p>
          </li>
        ))}
      </ul>
      <p class="spoken" aria-live="polite">{summary()}</p>
    </section>
  )
}
