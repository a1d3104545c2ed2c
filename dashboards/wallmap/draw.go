package wallmap

import "math"

// The drawing's size, and where on it the land lies, in units.
const (
	width     = 5000
	height    = 5330
	landLeft  = 150
	landTop   = 190
	landRight = width - 600
	landFoot  = height - 340 // the name of Trường Sa stands below its marks
)

// Drawing is a map in whole units, y downwards. Lines that two provinces share are held once.
type Drawing struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	// Lines are a first point and the steps to the next ones.
	Lines     []string          `json:"lines"`
	Provinces []ProvinceDrawing `json:"provinces"`
	// Coast, Borders and Graticule are the lines where land meets the sea or another country, where provinces meet, and of
	// every five degrees.
	Coast     []int `json:"coast"`
	Borders   []int `json:"borders"`
	Graticule []int `json:"graticule"`
	// Islands are the marks of both archipelagos.
	Islands      []Mark        `json:"islands"`
	Archipelagos []Archipelago `json:"archipelagos"`
}

// ProvinceDrawing is the shape of a province and the point inside it with the most room around.
type ProvinceDrawing struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	X    int    `json:"x"`
	Y    int    `json:"y"`
	// Rings are the lines around each piece of land; ^n is line n backwards.
	Rings [][]int `json:"rings"`
}

// Mark is an islet.
type Mark struct {
	Province string `json:"province"`
	Group    string `json:"group"`
	X        int    `json:"x"`
	Y        int    `json:"y"`
}

// Archipelago is the name of an archipelago, the province it belongs to, and the box around its marks.
type Archipelago struct {
	Group    string `json:"group"`
	Province string `json:"province"`
	Name     string `json:"name"`
	Of       string `json:"of"`
	Left     int    `json:"left"`
	Top      int    `json:"top"`
	Right    int    `json:"right"`
	Bottom   int    `json:"bottom"`
}

// frame fits projected points to the drawing.
type frame struct{ x, y, scale float64 }

func (f frame) dot(p Point) dot {
	x, y := project(p)
	return dot{int(math.Round(f.x + x*f.scale)), int(math.Round(f.y - y*f.scale))}
}

// fit makes land and islands as large as the drawing allows.
func (a *Atlas) fit() frame {
	west, east, low, high := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	add := func(p Point) {
		x, y := project(p)
		west, east, low, high = min(west, x), max(east, x), min(low, y), max(high, y)
	}
	for _, p := range a.Provinces {
		for _, polygon := range p.Polygons {
			for _, at := range polygon[0] {
				add(at)
			}
		}
	}
	for _, island := range a.Islands {
		add(island.At)
	}
	f := frame{scale: min((landRight-landLeft)/(east-west), (landFoot-landTop)/(high-low))}
	f.x, f.y = landLeft-west*f.scale, landTop+high*f.scale
	return f
}

// Draw projects the atlas.
func (a *Atlas) Draw() *Drawing {
	f := a.fit()
	drawing := &Drawing{Width: width, Height: height}
	loops := make([][]loop, len(a.Provinces))
	for i, p := range a.Provinces {
		for _, polygon := range p.Polygons {
			for _, ring := range polygon {
				if l := f.loop(ring); len(l) > 2 {
					loops[i] = append(loops[i], l)
				}
			}
		}
		var largest loop
		for _, l := range loops[i] {
			if largest == nil || l.size() > largest.size() {
				largest = l
			}
		}
		if largest == nil { // less than a unit of land
			largest = loop{f.dot(p.Polygons[0][0][0])}
		}
		at := largest.anchor()
		drawing.Provinces = append(drawing.Provinces, ProvinceDrawing{ID: p.ID, Name: p.Name, X: at.x, Y: at.y})
	}
	w := weave(loops)
	for _, line := range w.lines {
		drawing.Lines = append(drawing.Lines, steps(line))
	}
	for i, rings := range w.rings {
		drawing.Provinces[i].Rings = rings
	}
	drawing.Coast, drawing.Borders = w.coast, w.borders
	for _, line := range f.graticule() {
		drawing.Graticule = append(drawing.Graticule, len(drawing.Lines))
		drawing.Lines = append(drawing.Lines, steps(line))
	}
	for _, island := range a.Islands {
		at := f.dot(island.At)
		drawing.Islands = append(drawing.Islands, Mark{Province: island.Province, Group: island.Group, X: at.x, Y: at.y})
	}
	for _, sea := range archipelagos {
		var marks loop
		for _, m := range drawing.Islands {
			if m.Group == sea.group {
				marks = append(marks, dot{m.X, m.Y})
			}
		}
		low, high := marks.box()
		drawing.Archipelagos = append(drawing.Archipelagos, Archipelago{
			Group: sea.group, Province: sea.province, Name: sea.name, Of: sea.of, Left: low.x, Top: low.y, Right: high.x, Bottom: high.y,
		})
	}
	return drawing
}

// loop puts a ring on the grid, without points that fall together.
func (f frame) loop(ring Ring) loop {
	var l loop
	for _, p := range ring[1:] {
		if d := f.dot(p); len(l) == 0 || l[len(l)-1] != d {
			l = append(l, d)
		}
	}
	for len(l) > 1 && l[0] == l[len(l)-1] {
		l = l[:len(l)-1]
	}
	return l
}

// graticule returns the lines of every five degrees over all of the drawing.
func (f frame) graticule() [][]dot {
	var lines [][]dot
	for longitude := 100.0; longitude <= 120; longitude += 5 {
		lines = append(lines, []dot{f.dot(Point{longitude, 4}), f.dot(Point{longitude, 26})}) // straight in this projection
	}
	for latitude := 5.0; latitude <= 25; latitude += 5 {
		var arc []dot
		for longitude := 98.0; longitude <= 120; longitude += 2 {
			arc = append(arc, f.dot(Point{longitude, latitude}))
		}
		lines = append(lines, arc)
	}
	return lines
}
