// Which scene is shown, and the keys that change it.
import { signal } from '@preact/signals'
import { lastTouch } from './guard'
import { options, scenes, type Scene } from './options'
import { focus, moveFocus } from './ranks'
import { everySecond } from './clock'

export const scene = signal<Scene>(options.scene)
/** How much of the scene's time is over, 0 to 1. */
export const progress = signal(0)

const focusEvery = 6
/** A key or pointer stops the rotation for five minutes. */
const pauseAfterTouch = 300_000
let held = false
let shownFor = 0

/** Shows a scene and puts it into the address, so that a reload comes back to it. */
export function go(next: Scene): void {
  shownFor = 0
  progress.value = 0
  if (next === scene.peek()) return
  scene.value = next
  const asked = new URLSearchParams(location.search)
  asked.set('scene', next)
  history.replaceState(null, '', '?' + asked.toString())
}

/** Starts rotation, focus and keys. Called once. */
export function startScenes(): void {
  let seconds = 0
  everySecond(() => {
    if ((seconds++ % focusEvery === 0 && !held) || focus.peek() === '') moveFocus(1)
    if (options.rotate === 0 || held || Date.now() - lastTouch() < pauseAfterTouch && lastTouch() > 0) return
    progress.value = Math.min(1, ++shownFor / options.rotate)
    if (shownFor >= options.rotate) go(scenes[(scenes.indexOf(scene.peek()) + 1) % scenes.length]!)
  })
  addEventListener('keydown', event => {
    if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key >= '1' && event.key <= String(scenes.length)) go(scenes[Number(event.key) - 1]!)
    else if (event.key === 'ArrowRight') moveFocus(-1)
    else if (event.key === 'ArrowLeft') moveFocus(1)
    else if (event.key === ' ') held = !held
    else if (event.key === 'f' || event.key === 'F') void document.documentElement.requestFullscreen?.().catch(() => undefined)
    else if (event.key === 'p' || event.key === 'P') print()
    else return
    event.preventDefault()
  })
}
