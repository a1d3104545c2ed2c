package wallmap

import "math"

// The projection that Thông tư 47/2014/TT-BTNMT, Điều 5 prescribes for maps of the
// whole country: conformal conic, on the sphere, in radians.
var (
	meridian = radians(108)
	south    = radians(11)
	north    = radians(21)
	origin   = radians(4)
	// cone is the cone's constant and scale its radius at the pole.
	cone  = math.Log(math.Cos(south)/math.Cos(north)) / math.Log(half(north)/half(south))
	scale = math.Cos(south) * math.Pow(half(south), cone) / cone
)

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

func half(latitude float64) float64 { return math.Tan(math.Pi/4 + latitude/2) }

// project returns x to the east and y to the north of 108° E, 4° N, in radii of the earth.
func project(p Point) (x, y float64) {
	r := scale / math.Pow(half(radians(p[1])), cone)
	angle := cone * (radians(p[0]) - meridian)
	return r * math.Sin(angle), scale/math.Pow(half(origin), cone) - r*math.Cos(angle)
}

// middle is the mean of a ring's points.
func middle(ring Ring) Point {
	var sum Point
	for _, p := range ring[1:] {
		sum[0], sum[1] = sum[0]+p[0], sum[1]+p[1]
	}
	n := float64(len(ring) - 1)
	return Point{sum[0] / n, sum[1] / n}
}

// dot is a point of the drawing's grid.
type dot struct{ x, y int }

// loop is a ring on the grid, without the repeated end.
type loop []dot

// size is twice the area, whichever way the loop runs.
func (l loop) size() int {
	sum := 0
	for i, a := range l {
		b := l[(i+1)%len(l)]
		sum += a.x*b.y - b.x*a.y
	}
	return max(sum, -sum)
}

// depth is how far a point lies inside the loop; below zero outside.
func (l loop) depth(p dot) float64 {
	inside := false
	nearest := math.Inf(1)
	for i, a := range l {
		b := l[(i+1)%len(l)]
		if (a.y > p.y) != (b.y > p.y) && float64(p.x-a.x) < float64(b.x-a.x)*float64(p.y-a.y)/float64(b.y-a.y) {
			inside = !inside
		}
		nearest = min(nearest, distance(p, a, b))
	}
	if !inside {
		return -nearest
	}
	return nearest
}

// distance is that from a point to a line between two others.
func distance(p, a, b dot) float64 {
	dx, dy := float64(b.x-a.x), float64(b.y-a.y)
	px, py := float64(p.x-a.x), float64(p.y-a.y)
	t := 0.0
	if length := dx*dx + dy*dy; length > 0 {
		t = min(max((px*dx+py*dy)/length, 0), 1)
	}
	return math.Hypot(px-t*dx, py-t*dy)
}

// anchor is the point of the loop that is the farthest from its edge, to within a few units: where a label has most room.
func (l loop) anchor() dot {
	const cells = 24 // per side; each round looks at the neighbourhood of the best
	low, high := l.box()
	best, depth := low, math.Inf(-1)
	for high.x-low.x > 4 || high.y-low.y > 4 {
		for i := range cells + 1 {
			for j := range cells + 1 {
				p := dot{low.x + (high.x-low.x)*i/cells, low.y + (high.y-low.y)*j/cells}
				if d := l.depth(p); d > depth {
					best, depth = p, d
				}
			}
		}
		w, h := (high.x-low.x)/8, (high.y-low.y)/8
		low, high = dot{best.x - w, best.y - h}, dot{best.x + w, best.y + h}
	}
	return best
}

// box returns the corners of what surrounds the loop.
func (l loop) box() (low, high dot) {
	low, high = l[0], l[0]
	for _, p := range l {
		low = dot{min(low.x, p.x), min(low.y, p.y)}
		high = dot{max(high.x, p.x), max(high.y, p.y)}
	}
	return low, high
}
