// The wall's page: finds out what it may show, starts the feed and the questions, and draws.
import { effect } from '@preact/signals'
import { render } from 'preact'
import { get, needsKey, Refused } from './access'
import { watchValues } from './alerts'
import { startAnswers, type Answer } from './answers'
import { everySecond, startClock } from './clock'
import { startDayCurve } from './daycurve'
import { pause } from './frames'
import { startGuards } from './guard'
import { link, startFeed } from './link'
import { options } from './options'
import { Footer } from './parts/footer'
import { Header } from './parts/header'
import { SignIn } from './parts/signin'
import { kpiPath, tickPolls } from './poll'
import { provinceOf } from './ranks'
import { forget, load, save } from './saved'
import { scene, startScenes } from './scene'
import { Overview } from './scenes/overview'
import { Provinces } from './scenes/provinces'
import { exposeForTests } from './testing'
import { clear, scope, shown } from './values'

function App() {
  if (needsKey.value) return <SignIn />
  return (
    <div class="wall" data-link={link} data-scene={scene}>
      <Header />
      {scene.value === 'overview' ? <Overview /> : <Provinces />}
      <Footer />
    </div>
  )
}

/** Asks whom the server takes this screen for, until it answers. */
async function findScope(): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return (await get<Answer>(kpiPath('dossiers_received'))).scope || 'national'
    } catch (problem) {
      const status = problem instanceof Refused ? problem.status : 0
      // Without a moment of a replay or the KPI itself there is still a wall to show.
      if (status === 400 || status === 404) return 'national'
      if (status === 401) return ''
    }
    await new Promise(resolve => setTimeout(resolve, pause(attempt)))
  }
}

async function start(): Promise<void> {
  const root = document.documentElement
  root.lang = options.lang
  root.dataset.theme = options.theme
  root.dataset.density = options.density
  const kept = options.at === '' && load()
  render(<App />, document.getElementById('app')!)
  effect(() => { shown.value; watchValues() })
  startAnswers()
  startDayCurve()
  startScenes()
  startGuards()
  everySecond(tickPolls)
  let seconds = 0
  everySecond(() => { if (++seconds % 30 === 0 && options.at === '') save() })
  if (options.test) exposeForTests()
  startClock()

  const granted = await findScope()
  if (granted === '') return
  // A key of several provinces shows the first of them.
  const mine = provinceOf(granted).split(',')[0]
  const shownScope = mine ? 'province:' + mine : 'national'
  if (kept && scope.peek() !== shownScope) {
    forget()
    clear()
  }
  scope.value = shownScope
  if (options.at === '') startFeed(mine ? [shownScope, 'national'] : ['national', 'provinces'])
}

void start()
