// The head of the wall: flag, title, scenes, connection, clock. When the wall is not live a banner takes their place.
import { serverNow, now } from '../clock'
import { age, date, day, time } from '../format'
import { config } from '../guard'
import { asOf, link } from '../link'
import { options, scenes } from '../options'
import { nameOf, provinceOf } from '../ranks'
import { go, progress, scene } from '../scene'
import { lang, text } from '../text'
import { scope, shown } from '../values'
import { Flag, LevelIcon, StateIcon } from './icons'

const Clock = () => (
  <div class="clock">
    <time class="hours">{time(now.value)}</time>
    <span>{date(now.value, lang)}</span>
  </div>
)

function Title() {
  const mine = provinceOf(scope.value)
  const { title, subtitle } = config.value
  return (
    <div class="title">
      <h1>{title?.[lang] || text.title}</h1>
      <p>{mine ? text.subtitleOf(nameOf(mine)) : subtitle?.[lang] || text.subtitle}</p>
    </div>
  )
}

function Nav() {
  return (
    <nav aria-label={text.sceneNav}>
      {scenes.map(name => (
        <a href={'?' + addressOf(name)} aria-current={scene.value === name ? 'page' : undefined}
          onClick={event => { event.preventDefault(); go(name) }}>
          {text.scenes[name]}
          {scene.value === name && options.rotate > 0 && <i style={{ transform: `scaleX(${progress.value.toFixed(3)})` }} />}
        </a>
      ))}
    </nav>
  )
}

function addressOf(name: string): string {
  const asked = new URLSearchParams(location.search)
  asked.set('scene', name)
  return asked.toString()
}

const Conn = () => (
  <div class="conn">
    <StateIcon state={link.value === 'live' ? 'live' : 'late'} />
    <div>
      <strong>{link.value === 'live' ? text.live : text.connecting}</strong>
      <span>{asOf.value ? text.dataTo + ' ' + time(asOf.value) : ' '}</span>
    </div>
  </div>
)

function Banner() {
  const state = link.value
  const name = { late: text.late, lost: text.lost, refused: text.refused, replay: text.replay, waiting: '', live: '' }[state]
  let what: string
  if (state === 'replay') {
    what = `${text.replayAt} ${moment(Date.parse(options.at), true)}`
  } else if (asOf.value === 0 || shown.value === 0) {
    what = text.none
  } else {
    what = `${text.figuresAt} ${moment(asOf.value, false)}, ${text.ago(age((now.value - asOf.value) / 1000, lang))}`
  }
  return (
    <div class={'banner ' + (state === 'late' || state === 'replay' ? 'warn' : 'bad')} role="status">
      <LevelIcon level={state === 'late' || state === 'replay' ? 'warn' : 'bad'} />
      <strong>{name}</strong> <span>{what}</span>
    </div>
  )
}

// The time, with the date when it is not of today.
function moment(at: number, dated: boolean): string {
  return time(at) + (dated || day(at) !== day(serverNow()) ? ' ' + day(at) : '')
}

export function Header() {
  const calm = link.value === 'live' || link.value === 'waiting'
  return (
    <header class="head">
      <Flag />
      <Title />
      {calm ? <><Nav /><Conn /></> : <Banner />}
      <Clock />
    </header>
  )
}
