// The strip under the map: a tick for each province on the axis of the rate. Its coloured band is the map's legend.
import { prose, wall } from '../format'
import { average, breaks, classOf, focus, rated, target } from '../ranks'
import { lang, text } from '../text'

// The axis starts at a ten below the lowest, so that no tick is ever off it.
function axisStart(lowest: number): number {
  return Math.max(0, Math.min(0.3, Math.floor(lowest * 10) / 10))
}

export function Strip() {
  const list = rated.value
  const start = axisStart(list.at(-1)?.rate ?? 0.3)
  const at = (v: number): string => ((Math.min(1, Math.max(start, v)) - start) / (1 - start) * 100).toFixed(2) + '%'
  const mean = average.value
  const goal = target.value
  const edges = [start, ...breaks, 1]
  // Labels that would lie upon each other go to the two sides of their marks.
  const near = mean !== null && goal !== null && Math.abs(mean - goal) < 0.27
  const goalLeft = mean !== null && goal !== null && goal <= mean
  const side = (left: boolean): string => (!near ? '' : left ? ' toleft' : ' toright')
  return (
    <div class="strip" aria-hidden="true">
      {mean !== null && <p class={'average' + side(!goalLeft)} style={{ left: at(mean) }}>{text.average} {wall(mean, 'ratio', lang).number}</p>}
      {goal !== null && <p class={'goal-label' + side(goalLeft)} style={{ left: at(goal) }}>{text.stripTarget} {prose(goal, 'ratio', lang).replace('%', '')}</p>}
      <div class="ticks">
        {list.map(p => <i key={p.id} class={'c' + classOf(p.rate!) + (p.id === focus.value ? ' on' : '')} style={{ left: at(p.rate!) }} />)}
        {goal !== null && <b style={{ left: at(goal) }} />}
        {mean !== null && <u style={{ left: at(mean) }} />}
      </div>
      <div class="band">
        {edges.slice(1).map((end, i) => <i class={'c' + i} style={{ left: at(edges[i]!), width: `calc(${at(end)} - ${at(edges[i]!)})` }} />)}
      </div>
      <div class="scale">
        {edges.map(e => <span style={{ left: at(e) }}>{Math.round(e * 100)}{e === 1 ? '%' : ''}</span>)}
      </div>
    </div>
  )
}
