// Frames of the live feed, protocol version 1, as the package stream documents them.
import type { Value } from './values'

export interface LateSource {
  source: string
  since: string
}

export interface Beat {
  server_time: string
  watermark: string | null
  published_at: string | null
  caught_up: boolean | null
}

interface Place {
  board: string
  scope: string
}

export type Frame =
  | { type: 'hello'; protocol: number; epoch: string; heartbeat_ms: number; server_time: string }
  | (Place & { type: 'snapshot'; epoch: string; offset: number; as_of: string | null; values: Value[] })
  | (Place & { type: 'resumed'; epoch: string; offset: number; as_of: string | null })
  | (Place & { type: 'delta'; offset: number; as_of: string | null; values: Value[]; conflated?: boolean })
  | ({ type: 'beat' } & Beat)
  | { type: 'late'; sources: LateSource[] }
  | (Partial<Place> & { type: 'error'; code: string; detail: string; fatal: boolean })

/** What a close code asks for: milliseconds to wait, undefined for growing pauses, or never. */
export function afterClose(code: number): number | undefined | 'never' {
  if (code >= 4100 && code < 4200) return 'never'
  if (code === 1012) return Math.random() * 5000
  if (code === 4003) return 5000
  return undefined
}

/**
 * The pause before the n-th attempt in a row, in milliseconds, with jitter: 0.5 s doubling to 15 s. It does not grow beyond
 * 1.5 s in the first half minute, so that a server that was restarted is on the wall again within two seconds.
 */
export function pause(attempt: number): number {
  const patient = 20
  const most = attempt < patient ? 1500 : Math.min(15_000, 1500 * 2 ** Math.min(attempt - patient + 1, 4))
  return Math.min(most, 500 * 2 ** Math.min(attempt, 10)) * (0.75 + Math.random() / 2)
}
