// Joins the lines of a map to shapes. Each line is stored once, though two provinces share it: that halves the map's size.

/** A shape in units of the drawing; x, y is where a label or ring has most room. */
export interface ProvinceShape { id: string; name: string; x: number; y: number; d: string }
/** An islet of one of the archipelagos. */
export interface IslandMark { province: string; group: 'hoangsa' | 'truongsa'; x: number; y: number }
/** The name of an archipelago, whose it is, and the box around its marks. */
export interface Archipelago {
  group: 'hoangsa' | 'truongsa'; province: string; name: string; of: string
  left: number; top: number; right: number; bottom: number
}
/** A map as SVG paths in a viewBox of 0 0 width height. */
export interface WallMap {
  width: number; height: number; provinces: ProvinceShape[]
  coast: string; borders: string; graticule: string
  islands: IslandMark[]; archipelagos: Archipelago[]
}
/** What is stored: a line is its first point and steps; line n below zero is the line ~n backwards. */
export interface Stored {
  width: number; height: number; lines: string[]
  provinces: { id: string; name: string; x: number; y: number; rings: number[][] }[]
  coast: number[]; borders: number[]; graticule: number[]
  islands: IslandMark[]; archipelagos: Archipelago[]
}

/** Makes the paths. */
export function draw({ lines, provinces, coast, borders, graticule, ...rest }: Stored): WallMap {
  const points = lines.map(line => {
    let [x, y] = [0, 0]
    return [...line.matchAll(/(-?\d+) ?(-?\d+)/g)].map(([, dx, dy]) => `${(x += Number(dx))} ${(y += Number(dy))}`)
  })
  const along = (n: number): string[] => (n < 0 ? [...points[~n]!].reverse() : points[n]!)
  const open = (list: number[]): string => list.map(n => 'M' + along(n).join(' ')).join('')
  return {
    ...rest, coast: open(coast), borders: open(borders), graticule: open(graticule),
    provinces: provinces.map(({ rings, ...p }) => ({ ...p, d: rings.map(ring => 'M' + ring.flatMap(along).join(' ') + 'z').join('') })),
  }
}
