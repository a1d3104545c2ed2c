// The first scene: savings, rates, trend and quality at the left, the map in the middle, services and alerts at the right.
import { accounts, healthBooks, hero, online, onTime } from '../kpis'
import { options } from '../options'
import { Alerts } from '../parts/alerts'
import { MapPanel } from '../parts/map'
import { Quality } from '../parts/quality'
import { Series } from '../parts/series'
import { Services } from '../parts/services'
import { Tile } from '../parts/tile'

const far = options.density === 'far'
const near = options.density === 'near'

export const Overview = () => (
  <main class="overview">
    <div class="column left">
      <Tile shown={hero} hero />
      <div class="pair"><Tile shown={online} />{far ? <Tile shown={accounts} /> : <Tile shown={onTime} />}</div>
      {!far && <Series />}
      {near && <Quality />}
    </div>
    <MapPanel />
    {!far && (
      <div class="column right">
        <div class="pair"><Tile shown={accounts} /><Tile shown={healthBooks} /></div>
        <Services />
        <Alerts />
      </div>
    )}
  </main>
)
