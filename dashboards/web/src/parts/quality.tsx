// Data quality by the government's four words: đúng, đủ, sạch, sống.
import { definitions, qualityRows, statusOf } from '../answers'
import { wall } from '../format'
import { lang, text } from '../text'
import { own, shown } from '../values'
import { Bang, Check } from './icons'
import { Tag } from './figure'

const order = ['dung', 'du', 'sach', 'song', 'thong_nhat']

// The axis begins at a ten below the lowest value and threshold, at 80 % at most.
function axis(values: number[]): number {
  return Math.max(0, Math.min(0.8, Math.floor(Math.min(...values) * 10 - 0.5) / 10))
}

export function Quality() {
  const rows = order.map(code => qualityRows.value.find(r => r.criterion === code)).filter(r => r !== undefined).slice(0, 4)
  const good = definitions.value.get('data_quality_index')?.thresholds?.good?.value ?? null
  const index = own('data_quality_index').value
  const known = [...rows.map(r => r.value), good].filter(v => v !== null)
  const start = axis(known.length ? known : [0.8])
  const part = (v: number): number => Math.min(1, Math.max(0, (v - start) / (1 - start)))
  return (
    <section class="panel quality" data-kpi="data_quality_index">
      <header>
        <h2>{text.quality}</h2><Tag value={index} />
        <span class="side">{rows.length > 0 && good !== null ? `${text.qualityMark} ${wall(good, 'ratio', lang).number.replace(/[,.]0$/, '')}` : ''}</span>
      </header>
      {rows.length === 0 && <p class="empty">{shown.value === 0 ? text.waiting : text.noData}</p>}
      {rows.map(row => {
        const status = statusOf('data_quality_index', row.value)
        const [word, meaning] = text.criteria[String(row.criterion)]!
        const figure = wall(row.value, 'ratio', lang)
        return (
          <div class={'bullet ' + status} key={row.criterion}>
            <span class="word"><b>{word}</b> <small>{meaning}</small></span>
            <span class="gauge" aria-hidden="true">
              {row.value !== null && <i style={{ transform: `scaleX(${part(row.value).toFixed(4)})` }} />}
              {good !== null && <b style={{ left: (part(good) * 100).toFixed(2) + '%' }} />}
            </span>
            <span class="number"><output aria-live="off">{figure.number}</output><span class="unit">{figure.unit}</span></span>
            {status === 'good' ? <Check /> : status === 'warn' || status === 'bad' ? <Bang level={status} /> : <i />}
          </div>
        )
      })}
    </section>
  )
}
