package wallmap

import (
	"encoding/json"
	"fmt"
)

// Bounds of what a file may ask for.
const (
	maxArcs   = 1 << 20
	maxPoints = 4 << 20
)

// properties are what a feature says about itself.
type properties struct {
	ID    string `json:"id"`
	Group string `json:"g"`
}

// geometry is one of TopoJSON, whose lines are arcs.
type topoGeometry struct {
	Type        string          `json:"type"`
	ID          string          `json:"id"`
	Properties  properties      `json:"properties"`
	Arcs        json.RawMessage `json:"arcs"`
	Coordinates json.RawMessage `json:"coordinates"`
	Geometries  []topoGeometry  `json:"geometries"`
}

// topology is a file in TopoJSON.
type topology struct {
	Arcs      [][]Point `json:"arcs"`
	Transform *struct {
		Scale     Point `json:"scale"`
		Translate Point `json:"translate"`
	} `json:"transform"`
	Objects map[string]topoGeometry `json:"objects"`
	// visited counts the points of all rings so far.
	visited int
}

// topoFeatures returns the features of all objects, in the order of the names of the known ones.
func topoFeatures(content []byte) ([]feature, error) {
	var t topology
	if err := json.Unmarshal(content, &t); err != nil {
		return nil, fmt.Errorf("reading the map as TopoJSON: %w", err)
	}
	if len(t.Arcs) > maxArcs {
		return nil, fmt.Errorf("the map has %d arcs, at most %d are read", len(t.Arcs), maxArcs)
	}
	if t.Transform != nil {
		for _, arc := range t.Arcs {
			var at Point
			for i, step := range arc {
				at[0], at[1] = at[0]+step[0], at[1]+step[1]
				arc[i] = t.degrees(at)
			}
		}
	}
	var features []feature
	for _, name := range []string{"provinces", "islands"} {
		object, ok := t.Objects[name]
		if !ok && name == "provinces" {
			return nil, fmt.Errorf("the map has no object %q", name)
		}
		for _, g := range object.Geometries {
			f, err := t.feature(g)
			if err != nil {
				return nil, fmt.Errorf("object %q of the map, province %q: %w", name, f.id, err)
			}
			features = append(features, f)
		}
	}
	return features, nil
}

func (t *topology) degrees(p Point) Point {
	if t.Transform == nil {
		return p
	}
	return Point{
		p[0]*t.Transform.Scale[0] + t.Transform.Translate[0],
		p[1]*t.Transform.Scale[1] + t.Transform.Translate[1],
	}
}

func (t *topology) feature(g topoGeometry) (f feature, err error) {
	f = feature{id: g.ID, group: g.Properties.Group}
	if f.id == "" {
		f.id = g.Properties.ID
	}
	switch g.Type {
	case "Polygon":
		var arcs [][]int
		if err := json.Unmarshal(g.Arcs, &arcs); err != nil {
			return f, fmt.Errorf("reading the arcs: %w", err)
		}
		polygon, err := t.polygon(arcs)
		f.polygons = []Polygon{polygon}
		return f, err
	case "MultiPolygon":
		var list [][][]int
		if err := json.Unmarshal(g.Arcs, &list); err != nil {
			return f, fmt.Errorf("reading the arcs: %w", err)
		}
		for _, arcs := range list {
			polygon, err := t.polygon(arcs)
			if err != nil {
				return f, err
			}
			f.polygons = append(f.polygons, polygon)
		}
		return f, nil
	default:
		f.points, err = points(g.Type, g.Coordinates)
		for i := range f.points {
			f.points[i] = t.degrees(f.points[i])
		}
		return f, err
	}
}

// polygon joins arcs to rings; an arc n below zero is the arc ^n backwards.
func (t *topology) polygon(rings [][]int) (Polygon, error) {
	var polygon Polygon
	for _, arcs := range rings {
		var ring Ring
		for _, n := range arcs {
			index, backwards := n, n < 0
			if backwards {
				index = ^n
			}
			if index >= len(t.Arcs) {
				return nil, fmt.Errorf("there is no arc %d, only %d", index, len(t.Arcs))
			}
			arc := t.Arcs[index]
			if t.visited += len(arc); t.visited > maxPoints {
				return nil, fmt.Errorf("the lines have more than %d points", maxPoints)
			}
			for i := range arc {
				p := arc[i]
				if backwards {
					p = arc[len(arc)-1-i]
				}
				if i > 0 || len(ring) == 0 { // an arc begins where the last one ended
					ring = append(ring, p)
				}
			}
		}
		polygon = append(polygon, ring)
	}
	return polygon, nonempty(polygon)
}

func nonempty(p Polygon) error {
	if len(p) == 0 || len(p[0]) == 0 {
		return fmt.Errorf("a polygon has no points")
	}
	return nil
}

// geoFeatures returns the features of a GeoJSON FeatureCollection.
func geoFeatures(content []byte) ([]feature, error) {
	var collection struct {
		Features []struct {
			ID         string     `json:"id"`
			Properties properties `json:"properties"`
			Geometry   struct {
				Type        string          `json:"type"`
				Coordinates json.RawMessage `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	if err := json.Unmarshal(content, &collection); err != nil {
		return nil, fmt.Errorf("reading the map as GeoJSON: %w", err)
	}
	var features []feature
	for _, item := range collection.Features {
		f := feature{id: item.ID, group: item.Properties.Group}
		if f.id == "" {
			f.id = item.Properties.ID
		}
		var err error
		switch g := item.Geometry; g.Type {
		case "Polygon":
			f.polygons = make([]Polygon, 1)
			err = json.Unmarshal(g.Coordinates, &f.polygons[0])
		case "MultiPolygon":
			err = json.Unmarshal(g.Coordinates, &f.polygons)
		default:
			f.points, err = points(g.Type, g.Coordinates)
		}
		for _, polygon := range f.polygons {
			if err == nil {
				err = nonempty(polygon)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("province %q of the map: %w", f.id, err)
		}
		features = append(features, f)
	}
	return features, nil
}

func points(kind string, coordinates json.RawMessage) ([]Point, error) {
	var err error
	var list []Point
	switch kind {
	case "Point":
		list = make([]Point, 1)
		err = json.Unmarshal(coordinates, &list[0])
	case "MultiPoint":
		err = json.Unmarshal(coordinates, &list)
	default:
		err = fmt.Errorf("a %q is neither an area nor a point", kind)
	}
	return list, err
}
