// The map panel: provinces by class, both archipelagos at their true position, the three lowest ringed, lists and focus.
import { computed } from '@preact/signals'
import { map34, type Archipelago } from '../../map/map34'
import { shownNow } from '../clock'
import { decimal, month, wall } from '../format'
import { byId, classOf, focus, lowest, provinceOf, ranking, rated, type Ranked } from '../ranks'
import { lang, text } from '../text'
import { own, scope, shown } from '../values'
import { Tag } from './figure'
import { Strip } from './strip'

const paint = (p: Ranked | undefined): string => (p?.rate == null ? 'none' : 'c' + classOf(p.rate))

// One signal for each province: a frame patches the class of those that changed and nothing else.
const classes = new Map(map34.provinces.map(p => [p.id, computed(() => 'province ' + paint(byId.value.get(p.id)))]))
const islandClasses = new Map(map34.provinces.map(p => [p.id, computed(() => 'island ' + paint(byId.value.get(p.id)))]))
const shapes = new Map(map34.provinces.map(p => [p.id, p]))
const ringWidth = 175
const focusPath = computed(() => shapes.get(focus.value)?.d ?? '')

const percent = (part: number, whole: number): string => ((part / whole) * 100).toFixed(2) + '%'

function Name({ of, label }: { of: Archipelago; label: readonly string[] }) {
  const place = {
    '--left': percent(of.left, map34.width), '--right': percent(of.right, map34.width), '--top': percent(of.top, map34.height),
    '--bottom': percent(of.bottom, map34.height), '--middle': percent((of.left + of.right) / 2, map34.width),
  }
  return <p class={'archipelago ' + of.group} data-group={of.group} style={place}><span>{label[0]}</span> <small>{label[1]}</small></p>
}

// Rings of neighbours stand side by side, not upon each other.
function ringPlaces(list: readonly Ranked[]): { x: number; y: number }[] {
  const places: { x: number; y: number }[] = []
  for (const p of list) {
    let { x, y } = shapes.get(p.id)!
    for (const other of places) {
      const near = Math.hypot(x - other.x, y - other.y)
      if (near >= ringWidth) continue
      const [dx, dy] = near === 0 ? [1, 0] : [(x - other.x) / near, (y - other.y) / near]
      x = other.x + dx * ringWidth
      y = other.y + dy * ringWidth
    }
    places.push({ x, y })
  }
  return places
}

function Rings() {
  const places = ringPlaces(lowest.value)
  return (
    <g class="rings" aria-hidden="true">
      {lowest.value.map((p, i) => {
        const at = places[i]!
        return (
          <g key={p.id} transform={`translate(${at.x} ${at.y})`}>
            <circle r="78" /><text y="36">{i + 1}</text>
          </g>
        )
      })}
    </g>
  )
}

const Drawing = () => (
  <svg class="drawing" viewBox={`0 0 ${map34.width} ${map34.height}`} role="img" aria-label={text.mapLabel(map34.provinces.length)}>
    <defs>
      <pattern id="hatch" width="60" height="60" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="60" height="60" class="hatch-ground" /><rect width="24" height="60" class="hatch-line" />
      </pattern>
    </defs>
    <path class="graticule" d={map34.graticule} />
    <g>{map34.provinces.map(p => <path key={p.id} data-id={p.id} class={classes.get(p.id)} d={p.d} />)}</g>
    <path class="coast" d={map34.coast} />
    <g>{map34.islands.map(i => <circle data-id={i.province} data-group={i.group} class={islandClasses.get(i.province)} cx={i.x} cy={i.y} r="20" />)}</g>
    <path class="focus" d={focusPath} />
    <Rings />
  </svg>
)

const Rate = ({ p }: { p: Ranked }) => <output aria-live="off">{wall(p.rate, 'ratio', lang).number}</output>

function Lists() {
  const best = rated.value.slice(0, 3)
  if (lowest.value.length === 0) return null
  return (
    <div class="lists">
      <div>
        <h3>{text.highest}</h3>
        <ol>{best.map(p => <li key={p.id}><span>{p.name}</span><Rate p={p} /></li>)}</ol>
      </div>
      <div>
        <h3>{text.lowest}</h3>
        <ol>{lowest.value.map((p, i) => <li key={p.id}><b class="ring">{i + 1}</b><span>{p.name}</span><Rate p={p} /></li>)}</ol>
      </div>
    </div>
  )
}

function Focus() {
  const p = byId.value.get(focus.value)
  if (!p) return null
  const figure = wall(p.rate, 'ratio', lang)
  const volume = p.value?.denominator
  // Who sees one province only knows its rank from the server.
  const rank = provinceOf(scope.value) ? p.value?.rank : p.rank > 0 && { position: p.rank, of: ranking.value.length }
  return (
    <div class="focus-card">
      <p class="what">{text.focus}</p>
      <p class="name">{p.name}</p>
      <p class="figure"><output aria-live="off">{figure.number}</output><span class="unit">{figure.unit}</span></p>
      {rank && <p class="what">{text.rank} <output aria-live="off">{rank.position}/{rank.of}</output></p>}
      {volume != null && <p class="what"><output aria-live="off">{decimal(volume, 0, lang)}</output> {text.dossiers}</p>}
    </div>
  )
}

function Count() {
  if (shown.value === 0) return <>{text.waiting}</>
  if (provinceOf(scope.value)) return <>{text.provinceOnly}</>
  return <>{text.month(month(shownNow()))} · <output aria-live="off">{text.mapCount(rated.value.length, ranking.value.length)}</output></>
}

export function MapPanel() {
  const [hoangsa, truongsa] = ['hoangsa', 'truongsa'].map(g => map34.archipelagos.find(a => a.group === g)!) as [Archipelago, Archipelago]
  return (
    <section class="panel map-panel">
      <header><h2>{text.mapTitle}</h2><Tag value={own('online_dossier_rate').value} /><span class="side"><Count /></span></header>
      <div class="map">
        <div class="box" style={{ '--ratio': String(map34.width / map34.height) }}>
          <Drawing />
          <p class="sea" aria-hidden="true"><span>{text.sea[0]}</span><span>{text.sea[1]}</span></p>
          <Name of={hoangsa} label={text.hoangsa} />
          <Name of={truongsa} label={text.truongsa} />
        </div>
        <Lists />
        <Focus />
        <p class="key"><i class="hatch" aria-hidden="true" />{provinceOf(scope.value) ? text.outOfScope : text.noData}</p>
        <p class="attribution">{text.attribution}</p>
      </div>
      <Strip />
    </section>
  )
}
