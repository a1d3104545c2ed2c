package wallmap

import "strconv"

// side is a step between two neighbouring points, from the smaller one.
type side struct{ a, b dot }

func sideOf(a, b dot) side {
	if b.x < a.x || b.x == a.x && b.y < a.y {
		a, b = b, a
	}
	return side{a, b}
}

// Whose a side is beside the province in hand: nobody's, or an island's or hole's of the same province, or another's.
const shore = -1

// web is the lines that loops are made of, each once, and how the loops go along them.
type web struct {
	lines [][]dot
	// coast and borders are the lines that one and two provinces have.
	coast, borders []int
	// rings are the lines of each loop, by province; ^n is line n backwards.
	rings [][][]int

	owners map[side][2]int // up to two provinces, or shore
	begins map[side][]int  // lines by their first side
}

// weave cuts the loops of provinces where their neighbours change.
func weave(provinces [][]loop) *web {
	w := &web{owners: map[side][2]int{}, begins: map[side][]int{}, rings: make([][][]int, len(provinces))}
	for i, loops := range provinces {
		for _, l := range loops {
			for j := range l {
				s := sideOf(l[j], l[(j+1)%len(l)])
				if o, met := w.owners[s]; !met {
					w.owners[s] = [2]int{i, shore}
				} else if o[0] != i && o[1] == shore {
					w.owners[s] = [2]int{o[0], i}
				}
			}
		}
	}
	for i, loops := range provinces {
		for _, l := range loops {
			w.rings[i] = append(w.rings[i], w.ring(i, l))
		}
	}
	return w
}

// neighbour is the province beyond a side, or shore.
func (w *web) neighbour(province int, s side) int {
	o := w.owners[s]
	if o[0] == province {
		return o[1]
	}
	return o[0]
}

// ring returns the lines of a loop; lines that are not there yet are added.
func (w *web) ring(province int, l loop) []int {
	n := len(l)
	beyond := make([]int, n)
	start := 0
	for j := range l {
		beyond[j] = w.neighbour(province, sideOf(l[j], l[(j+1)%n]))
		if j > 0 && beyond[j] != beyond[j-1] {
			start = j
		}
	}
	var ring []int
	for j := 0; j < n; {
		first := (start + j) % n
		line := []dot{l[first]}
		for ; j < n && beyond[(start+j)%n] == beyond[first]; j++ {
			line = append(line, l[(start+j+1)%n])
		}
		ring = append(ring, w.line(line, beyond[first]))
	}
	return ring
}

// line finds a line that another province has already, backwards, or adds it.
func (w *web) line(line []dot, beyond int) int {
	last := len(line) - 1
	if beyond != shore {
		for _, n := range w.begins[sideOf(line[last], line[last-1])] {
			if backwards(w.lines[n], line) {
				return ^n
			}
		}
	}
	n := len(w.lines)
	w.lines = append(w.lines, line)
	first := sideOf(line[0], line[1])
	w.begins[first] = append(w.begins[first], n)
	if beyond == shore {
		w.coast = append(w.coast, n)
	} else {
		w.borders = append(w.borders, n)
	}
	return n
}

func backwards(a, b []dot) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[len(b)-1-i] {
			return false
		}
	}
	return true
}

// steps writes a line as its first point and the steps from point to point, as short as SVG allows.
func steps(line []dot) string {
	var text []byte
	var at dot
	number := func(n int) {
		if len(text) > 0 && n >= 0 {
			text = append(text, ' ') // else it would run into the number before
		}
		text = strconv.AppendInt(text, int64(n), 10)
	}
	for _, next := range line {
		number(next.x - at.x)
		number(next.y - at.y)
		at = next
	}
	return string(text)
}
