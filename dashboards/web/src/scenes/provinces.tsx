// The second scene: every province readable, as a tile map and as a ranking.
import { computed } from '@preact/signals'
import { tileCols, tileRows, tiles34, type Tile } from '../../map/tiles34'
import { shownNow } from '../clock'
import { month, prose, wall } from '../format'
import { Tag } from '../parts/figure'
import { MapPanel } from '../parts/map'
import { Gauge } from '../parts/services'
import { options } from '../options'
import { byId, classOf, focus, provinceOf, ranking, target, type Ranked } from '../ranks'
import { lang, text } from '../text'
import { own, scope } from '../values'

const paint = (p: Ranked | undefined): string => (p?.rate == null ? 'none' : 'c' + classOf(p.rate))
const number = (p: Ranked | undefined): string => wall(p?.rate ?? null, 'ratio', lang).number

function Cell({ tile }: { tile: Tile }) {
  const place = { gridRow: `${tile.row + 1} / span ${tile.kind === 'archipelago' ? 2 : 1}`, gridColumn: String(tile.col + 1) }
  if (tile.kind === 'archipelago') {
    const label = tile.parent === '48' ? text.hoangsa : text.truongsa
    const cut = label[0]!.lastIndexOf(lang === 'vi' ? 'đảo ' : ' A')
    const [first, rest] = lang === 'vi' ? [label[0]!.slice(0, cut + 3), label[0]!.slice(cut + 4)] : [label[0]!.slice(0, cut), label[0]!.slice(cut + 1)]
    return (
      <div class="cell archipelago" style={place} data-group={tile.parent === '48' ? 'hoangsa' : 'truongsa'}>
        <b>{first}</b><b>{rest}</b><small>{label[1]}</small>
      </div>
    )
  }
  const p = byId.value.get(tile.code)
  // TP. Hồ Chí Minh is the one name that is longer than a tile; its short form is as official.
  const name = tile.code === '79' ? (lang === 'vi' ? 'TP. HCM' : 'HCM City') : tile.name
  return (
    <div class={'cell ' + paint(p) + (focus.value === tile.code ? ' on' : '')} style={place} data-id={tile.code}>
      <b>{name}</b><output aria-live="off">{number(p)}</output>
    </div>
  )
}

const half = computed(() => Math.ceil(ranking.value.length / 2))

function Column({ list }: { list: readonly Ranked[] }) {
  const goal = target.value
  return (
    <table>
      <colgroup><col class="n" /><col class="name" /><col class="bars" /><col class="rate" /></colgroup>
      <thead class="hidden"><tr><th>{text.rank}</th><th>{text.province}</th><th>{text.target}</th><th>{text.rate}</th></tr></thead>
      <tbody>
        {list.map(p => (
          <tr key={p.id} class={focus.value === p.id ? 'on' : ''} data-id={p.id}>
            <td class="n">{p.rank || ''}</td>
            <td class="name">{p.name}</td>
            <td class="bars"><Gauge rate={p.rate} goal={goal} paint={paint(p)} /></td>
            <td class="num rate">{p.rate === null ? <small>{text.notYet}</small> : <output aria-live="off">{number(p)}</output>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

export function Provinces() {
  const goal = target.value
  const note = goal === null ? '' : ` · ${text.whiteMark} ${prose(goal, 'ratio', lang).replace('%', '')}`
  return (
    <main class="provinces">
      {options.density === 'far' ? <MapPanel /> : <section class="panel cartogram">
        <header><h2>{text.tilesTitle}</h2><Tag value={own('online_dossier_rate').value} /><span class="side">{text.tilesNote}</span></header>
        <div class="cells" data-rows={tileRows} data-cols={tileCols}>{tiles34.map(t => <Cell key={t.code} tile={t} />)}</div>
      </section>}
      <section class="panel ranks">
        <header>
          <h2>{text.rankTitle}</h2><Tag value={own('online_dossier_rate').value} />
          <span class="side">{provinceOf(scope.value) ? text.provinceOnly : text.month(month(shownNow())) + note}</span>
        </header>
        <div class="columns"><Column list={ranking.value.slice(0, half.value)} /><Column list={ranking.value.slice(half.value)} /></div>
      </section>
    </main>
  )
}
