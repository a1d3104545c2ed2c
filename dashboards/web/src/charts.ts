// The few shapes that charts are made of, as SVG path data.

/** Maps a position and a value to a point of the drawing. */
export interface Frame {
  width: number
  height: number
  /** Greatest and least value of the axis. */
  top: number
  bottom: number
  /** Positions on the axis, one less than its points. */
  span: number
}

const x = (f: Frame, i: number): string => ((i / f.span) * f.width).toFixed(1)
const y = (f: Frame, v: number): string => (f.height - ((v - f.bottom) / (f.top - f.bottom || 1)) * f.height).toFixed(1)

/** A line through the values; a gap in the data is a gap in the line. */
export function line(f: Frame, values: readonly (number | null)[]): string {
  let path = ''
  let drawing = false
  values.forEach((v, i) => {
    if (v !== null) path += (drawing ? 'L' : 'M') + x(f, i) + ' ' + y(f, v)
    drawing = v !== null
  })
  return path
}

/** The area under a line, in one piece for each unbroken run of values. */
export function area(f: Frame, values: readonly (number | null)[]): string {
  let path = ''
  let start = -1
  for (let i = 0; i <= values.length; i++) {
    const v = values[i] ?? null
    if (v !== null) {
      path += start < 0 ? `M${x(f, i)} ${f.height}L${x(f, i)} ${y(f, v)}` : `L${x(f, i)} ${y(f, v)}`
      if (start < 0) start = i
    } else if (start >= 0) {
      path += `L${x(f, i - 1)} ${f.height}Z`
      start = -1
    }
  }
  return path
}

/** The area between two lines. */
export function band(f: Frame, pairs: readonly (readonly [number, number])[], offset: number, every: number): string {
  if (pairs.length === 0) return ''
  const at = (i: number): string => x(f, offset + i * every)
  const upper = pairs.map(([, high], i) => at(i) + ' ' + y(f, high)).join('L')
  const lower = pairs.map(([low], i) => at(i) + ' ' + y(f, low)).reverse().join('L')
  return 'M' + upper + 'L' + lower + 'Z'
}

/** The height of a value in the drawing. */
export const level = (f: Frame, v: number): number => Number(y(f, v))

/** The place of the i-th point in the drawing. */
export const place = (f: Frame, i: number): number => Number(x(f, i))

/** A round number at or above a value that divides well by the steps of an axis. */
export function roundUp(value: number, steps: number): number {
  if (value <= 0) return steps
  const unit = value / steps
  const size = 10 ** Math.floor(Math.log10(unit))
  const nice = [1, 2, 2.5, 3, 4, 5, 6, 8, 10].find(n => n * size >= unit - 1e-9)!
  return nice * size * steps
}
