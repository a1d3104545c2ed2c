// The key of this screen and requests that carry it.
import { signal } from '@preact/signals'

const place = 'ioc.key'

/** True while the server asks for a key that this screen does not have. */
export const needsKey = signal(false)

/** The key of this screen; empty for none. */
export function key(): string {
  try {
    return localStorage.getItem(place) ?? ''
  } catch {
    return '' // Storage may be forbidden; then there is no key.
  }
}

/** Keeps a key; an empty one forgets it. */
export function keep(value: string): void {
  try {
    value === '' ? localStorage.removeItem(place) : localStorage.setItem(place, value)
  } catch {
    // Without storage the form comes back after a reload.
  }
}

/** A request that the server refused; status 0 when there was no answer. */
export class Refused extends Error {
  constructor(readonly status: number) {
    super('status ' + status)
  }
}

/** Gets a JSON document of the own server. Throws Refused. */
export async function get<T>(path: string): Promise<T> {
  const token = key()
  let answer: Response
  try {
    answer = await fetch(path, {
      headers: token ? { Authorization: 'Bearer ' + token } : {},
      signal: AbortSignal.timeout(20_000),
      credentials: 'same-origin',
    })
  } catch {
    throw new Refused(0)
  }
  if (answer.status === 401) needsKey.value = true
  if (!answer.ok) throw new Refused(answer.status)
  try {
    return (await answer.json()) as T
  } catch {
    throw new Refused(0)
  }
}
