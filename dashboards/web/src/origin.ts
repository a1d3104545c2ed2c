// Where a value comes from: counted, simulated, or officially published.
import type { Official, Value } from './values'

/** Whether simulated events are in a value. */
export const isSimulated = (v: Value | undefined): boolean => v?.notes?.some(n => n === 'illustrative' || n === 'example_coefficients') ?? false

/** Whether a value is an official figure and nothing else. */
export const isOfficial = (v: Value | undefined): boolean =>
  v !== undefined && v.value !== null && !isSimulated(v) &&
  (v.notes?.some(n => n === 'official_figure' || n === 'no_live_source') || (!!v.baseline && v.baseline.value === v.value))

/** The official figure of a value, in whichever way it is given. */
export function officialOf(v: Value | undefined): Official | undefined {
  return v?.official ?? v?.baseline ?? undefined
}
