// Package wallmap turns a map file into the drawing that the wall shows: it
// reads provinces and islands in degrees, checks that none is missing, projects
// them and writes integer SVG paths as a TypeScript module.
package wallmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names of the two archipelagos' groups in map files and drawings.
const (
	HoangSa  = "hoangsa"
	TruongSa = "truongsa"
)

// maxFile bounds a map file, in bytes.
const maxFile = 64 << 20

// Point is a position in degrees: longitude and latitude, WGS 84.
type Point [2]float64

// Ring is a closed line; its last point is its first.
type Ring []Point

// Polygon is an outer ring and the rings of its holes.
type Polygon []Ring

// Place is a province that a map must hold.
type Place struct {
	// ID is the code of the General Statistics Office, such as "01".
	ID string
	// Name is the bare name, such as "Hà Nội".
	Name string
}

// Province is a province and the land that belongs to it.
type Province struct {
	Place
	Polygons []Polygon
}

// Island is an islet of one of the archipelagos, which is drawn as a mark.
type Island struct {
	// Province is the code of the province it belongs to.
	Province string
	// Group is HoangSa or TruongSa.
	Group string
	At    Point
}

// Atlas is what a map file holds.
type Atlas struct {
	// Provinces are in the order of the places asked for.
	Provinces []Province
	// Islands are in the order of the file.
	Islands []Island
}

// archipelago says whose an archipelago is and where it lies, for files that
// hold it as land of its province only.
type archipelago struct {
	group, province, name, of string
	west, south, east, north  float64
}

// archipelagos are as Vietnamese law has them.
var archipelagos = []archipelago{
	{group: HoangSa, province: "48", name: "Quần đảo Hoàng Sa", of: "TP. Đà Nẵng", west: 110.5, south: 15, east: 114, north: 18},
	{group: TruongSa, province: "56", name: "Quần đảo Trường Sa", of: "tỉnh Khánh Hòa", west: 110.5, south: 6, east: 118, north: 12.5},
}

// holds says whether a point lies in the waters of the archipelago.
func (a archipelago) holds(p Point) bool {
	return p[0] > a.west && p[0] < a.east && p[1] > a.south && p[1] < a.north
}

// feature is a geometry of a file with what tells it apart.
type feature struct {
	id, group string
	polygons  []Polygon
	points    []Point
}

// Load reads a map in TopoJSON or GeoJSON, in degrees, whose features carry the
// code of their province as id or as property id. Marks of the archipelagos are
// points with the property g, "hoangsa" or "truongsa"; without them the land of
// the province in that sea is marked. A file that lacks a place or an
// archipelago, or holds another or one twice, is an error that names it.
func Load(file io.Reader, places []Place) (*Atlas, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the map: %w", err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("the map is over %d MiB", maxFile>>20)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(content, &kind); err != nil {
		return nil, fmt.Errorf("the map is no JSON: %w", err)
	}
	var features []feature
	switch kind.Type {
	case "Topology":
		features, err = topoFeatures(content)
	case "FeatureCollection":
		features, err = geoFeatures(content)
	default:
		return nil, fmt.Errorf("the map is a %q, neither a TopoJSON Topology nor a GeoJSON FeatureCollection", kind.Type)
	}
	if err != nil {
		return nil, err
	}
	return assemble(features, places)
}

// assemble puts features in the order of the places and says what is missing.
func assemble(features []feature, places []Place) (*Atlas, error) {
	atlas := &Atlas{Provinces: make([]Province, len(places))}
	for i, place := range places {
		atlas.Provinces[i].Place = place
	}
	for _, f := range features {
		if err := f.check(); err != nil {
			return nil, err
		}
		for _, at := range f.points {
			if f.group != "" {
				atlas.Islands = append(atlas.Islands, Island{Province: f.id, Group: f.group, At: at})
			}
		}
		if len(f.polygons) == 0 {
			continue
		}
		i := slices.IndexFunc(places, func(p Place) bool { return p.ID == f.id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("the map holds a province %q that is none of the %d", f.id, len(places))
		case atlas.Provinces[i].Polygons != nil:
			return nil, fmt.Errorf("the map holds province %s (%s) twice", f.id, places[i].Name)
		}
		atlas.Provinces[i].Polygons = f.polygons
	}
	var missing []string
	for _, p := range atlas.Provinces {
		if p.Polygons == nil {
			missing = append(missing, fmt.Sprintf("province %s (%s)", p.ID, p.Name))
		}
	}
	for _, a := range archipelagos {
		if !atlas.mark(a) {
			missing = append(missing, fmt.Sprintf("%s (%s)", a.name, a.of))
		}
	}
	if missing != nil {
		return nil, errors.New("the map lacks " + strings.Join(missing, ", "))
	}
	return atlas, nil
}

// check refuses what cannot be drawn.
func (f *feature) check() error {
	if f.group != "" {
		i := slices.IndexFunc(archipelagos, func(a archipelago) bool { return a.group == f.group && a.province == f.id })
		if i < 0 {
			return fmt.Errorf("the map holds a mark of group %q in province %q; %s belongs to 48 and %s to 56", f.group, f.id, HoangSa, TruongSa)
		}
		for _, at := range f.points {
			if !archipelagos[i].holds(at) {
				return fmt.Errorf("the map holds a mark of %s at %v, %v, which lies elsewhere", f.group, at[0], at[1])
			}
		}
	}
	points := slices.Clone(f.points)
	for _, polygon := range f.polygons {
		for _, ring := range polygon {
			if len(ring) < 4 || ring[0] != ring[len(ring)-1] {
				return fmt.Errorf("province %q of the map has a line that is not closed", f.id)
			}
			points = append(points, ring...)
		}
	}
	for _, p := range points {
		if !(p[0] >= 90 && p[0] <= 125 && p[1] >= 0 && p[1] <= 30) {
			return fmt.Errorf("province %q of the map has the point %v, %v: coordinates must be degrees of longitude (90 to 125) and latitude (0 to 30)", f.id, p[0], p[1])
		}
	}
	return nil
}

// mark makes sure that an archipelago has marks in the atlas, and says whether it has.
func (a *Atlas) mark(sea archipelago) bool {
	if slices.ContainsFunc(a.Islands, func(i Island) bool { return i.Group == sea.group }) {
		return true
	}
	found := false
	for _, p := range a.Provinces {
		if p.ID != sea.province { // a code that stayed the same in 2025
			continue
		}
		for _, polygon := range p.Polygons {
			if at := middle(polygon[0]); sea.holds(at) {
				a.Islands = append(a.Islands, Island{Province: sea.province, Group: sea.group, At: at})
				found = true
			}
		}
	}
	return found
}
