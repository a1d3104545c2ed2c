// Small drawings. Each status has a shape of its own, so that colour is never all there is.
import type { Level } from '../alerts'
import { text } from '../text'

/** ▲ or ▼; the colour comes from around it. */
export const Arrow = ({ up }: { up: boolean }) => (
  <svg class="arrow" viewBox="0 0 10 10" aria-hidden="true"><path d={up ? 'M5 1L9.5 9H.5Z' : 'M5 9L.5 1H9.5Z'} fill="currentColor" /></svg>
)

/** ✓ */
export const Check = () => (
  <svg class="mark ok" viewBox="0 0 12 12" aria-hidden="true"><path d="M1.5 6.5l3 3 6-7" fill="none" stroke="currentColor" stroke-width="2" /></svg>
)

/** ! */
export const Bang = ({ level }: { level: 'warn' | 'bad' }) => (
  <svg class={'mark ' + level} viewBox="0 0 12 12" aria-hidden="true"><path d="M6 1v6.4M6 9.4v1.8" fill="none" stroke="currentColor" stroke-width="2" /></svg>
)

const shapes: Record<Level, string> = {
  bad: 'M7 1h6l6 6v6l-6 6H7l-6-6V7Z',
  warn: 'M10 1.5L19.5 18.5H.5Z',
  info: 'M10 .5a9.5 9.5 0 1 0 0 19a9.5 9.5 0 1 0 0-19Z',
}
const signs: Record<Level, string> = { bad: 'M10 5v6M10 13v2.4', warn: 'M10 7.2v5.4M10 14.2v2.2', info: 'M10 8.6v6.4M10 4.8v2.2' }

/** Octagon, triangle or circle of an alert; named where no word beside it says which. */
export const LevelIcon = ({ level, named }: { level: Level; named?: boolean }) => (
  <svg class={'level ' + level} viewBox="0 0 20 20" {...(named ? { role: 'img', 'aria-label': text.levels[level] } : { 'aria-hidden': 'true' })}>
    <path d={shapes[level]} fill="currentColor" />
    <path d={signs[level]} class="sign" fill="none" stroke-width="2.2" />
  </svg>
)

/** The state of the connection: filled circle, diamond or ring. */
export const StateIcon = ({ state }: { state: 'live' | 'late' | 'lost' }) => (
  <svg class={'state ' + state} viewBox="0 0 12 12" aria-hidden="true">
    {state === 'live' && <circle cx="6" cy="6" r="5" fill="currentColor" />}
    {state === 'late' && <path d="M6 .5L11.5 6 6 11.5 .5 6Z" fill="currentColor" />}
    {state === 'lost' && <circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="2" />}
  </svg>
)

/** The national flag, two by three. */
export const Flag = () => (
  <svg class="flag" viewBox="0 0 90 60" aria-hidden="true">
    <path d="M0 0h90v60H0z" fill="#DA251D" />
    <path d="M45 12l4.04 12.44h13.08l-10.58 7.68 4.04 12.44L45 36.88l-10.58 7.68 4.04-12.44-10.58-7.68h13.08z" fill="#FFDE00" />
  </svg>
)
