// What the address of the page asks for. A kiosk is configured by nothing else.

export type Scene = 'overview' | 'provinces'
export type Lang = 'vi' | 'en'

export interface Options {
  scene: Scene
  /** Seconds that a scene stays; 0 keeps it. */
  rotate: number
  density: 'near' | 'mid' | 'far'
  theme: 'dark' | 'light'
  lang: Lang
  /** Name of the screen, shown in the foot; empty for none. */
  screen: string
  /** RFC 3339 moment of a replay; empty when live. */
  at: string
  test: boolean
}

export const scenes: readonly Scene[] = ['overview', 'provinces']

/** Reads the parameters of an address; what it does not know is left at its default. */
export function readOptions(search: string): Options {
  const asked = new URLSearchParams(search)
  const one = <T extends string>(name: string, known: readonly T[]): T => {
    const value = asked.get(name) as T
    return known.includes(value) ? value : known[0]!
  }
  const rotate = Number(asked.get('rotate'))
  return {
    scene: one('scene', scenes),
    rotate: rotate > 0 ? Math.max(10, Math.min(rotate, 3600)) : 0,
    density: one('density', ['near', 'mid', 'far']),
    theme: one('theme', ['dark', 'light']),
    lang: one('lang', ['vi', 'en']),
    screen: (asked.get('screen') ?? '').slice(0, 16),
    at: moment(asked.get('at') ?? ''),
    test: asked.get('test') === '1',
  }
}

// A moment without a zone is one of Asia/Ho_Chi_Minh.
function moment(text: string): string {
  if (text === '') return ''
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : (text.length === 10 ? text + 'T23:59:59' : text) + '+07:00'
  const time = Date.parse(zoned)
  return Number.isNaN(time) ? '' : new Date(time).toISOString().replace('.000Z', 'Z')
}

export const options: Options = readOptions(typeof location === 'undefined' ? '' : location.search)
