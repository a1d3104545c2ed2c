package wallmap

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ioc.local/internal/reference"
)

const folder = "../web/map/"

// provinces34 are the places of the map with their official areas in km².
func provinces34(t testing.TB) ([]Place, []reference.Province34) {
	t.Helper()
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var places []Place
	for _, p := range data.Provinces34() {
		places = append(places, Place{ID: p.Code, Name: p.NameVI})
	}
	return places, data.Provinces34()
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func atlas34(t testing.TB) *Atlas {
	t.Helper()
	places, _ := provinces34(t)
	atlas, err := Load(bytes.NewReader(file(t, "vn34.topojson")), places)
	if err != nil {
		t.Fatal(err)
	}
	return atlas
}

// area is that of a polygon on the sphere, in km².
func area(p Polygon) float64 {
	const radius = 6371.0072 // of the sphere with the earth's surface
	total := 0.0
	for i, ring := range p {
		sum := 0.0
		for j := range ring[1:] {
			a, b := ring[j], ring[j+1]
			sum += radians(b[0]-a[0]) * (2 + math.Sin(radians(a[1])) + math.Sin(radians(b[1])))
		}
		sum = math.Abs(sum) / 2 * radius * radius
		if i > 0 {
			sum = -sum
		}
		total += sum
	}
	return total
}

func (p Polygon) holds(at Point) bool {
	inside := false
	for _, ring := range p {
		for i := range ring[1:] {
			a, b := ring[i], ring[i+1]
			if (a[1] > at[1]) != (b[1] > at[1]) && at[0] < (b[0]-a[0])*(at[1]-a[1])/(b[1]-a[1])+a[0] {
				inside = !inside
			}
		}
	}
	return inside
}

func TestAreas(t *testing.T) {
	_, official := provinces34(t)
	var deviations []float64
	for i, p := range atlas34(t).Provinces {
		sum := 0.0
		for _, polygon := range p.Polygons {
			sum += area(polygon)
		}
		if official[i].Code != p.ID || official[i].AreaKM2 == 0 {
			t.Fatalf("province %d is %s, in the reference %s with %d km²", i, p.ID, official[i].Code, official[i].AreaKM2)
		}
		deviation := math.Abs(sum/float64(official[i].AreaKM2) - 1)
		if deviation > 0.15 { // Quảng Ninh's official area counts water
			t.Errorf("%s has %.0f km² on the map, officially %d", p.Name, sum, official[i].AreaKM2)
		}
		deviations = append(deviations, deviation)
	}
	slices.Sort(deviations)
	if median := (deviations[16] + deviations[17]) / 2; len(deviations) != 34 || median > 0.01 {
		t.Errorf("areas of %d provinces deviate by %.2f %% in the median, over 1 %%", len(deviations), median*100)
	}
}

// towns are well-known positions, latitude first as gazetteers have them, by province of 2025.
var towns = map[string]map[string][2]float64{
	"01": {"Hà Nội": {21.03, 105.85}, "Sơn Tây": {21.14, 105.50}},
	"04": {"Cao Bằng": {22.67, 106.26}},
	"08": {"Tuyên Quang": {21.82, 105.21}, "Hà Giang": {22.82, 104.98}},
	"11": {"Điện Biên Phủ": {21.39, 103.02}},
	"12": {"Lai Châu": {22.39, 103.46}, "Than Uyên": {21.96, 103.88}},
	"14": {"Sơn La": {21.33, 103.91}, "Mộc Châu": {20.85, 104.63}},
	"15": {"Lào Cai": {22.48, 103.97}, "Yên Bái": {21.70, 104.87}, "Sa Pa": {22.34, 103.84}},
	"19": {"Thái Nguyên": {21.59, 105.84}, "Bắc Kạn": {22.15, 105.83}},
	"20": {"Lạng Sơn": {21.85, 106.76}},
	"22": {"Uông Bí": {21.04, 106.77}, "Móng Cái": {21.53, 107.96}},
	"24": {"Bắc Ninh": {21.18, 106.06}, "Bắc Giang": {21.28, 106.19}},
	"25": {"Việt Trì": {21.32, 105.39}, "Vĩnh Yên": {21.31, 105.60}, "Hòa Bình": {20.83, 105.34}},
	"31": {"Hải Phòng": {20.85, 106.68}, "Hải Dương": {20.94, 106.33}},
	"33": {"Hưng Yên": {20.65, 106.06}, "Thái Bình": {20.45, 106.34}},
	"37": {"Ninh Bình": {20.25, 105.97}, "Nam Định": {20.42, 106.17}, "Phủ Lý": {20.54, 105.91}},
	"38": {"Thanh Hóa": {19.81, 105.78}},
	"40": {"Vinh": {18.68, 105.68}},
	"42": {"Hà Tĩnh": {18.34, 105.90}},
	"44": {"Đông Hà": {16.82, 107.10}, "Đồng Hới": {17.47, 106.60}},
	"46": {"Huế": {16.46, 107.59}},
	"48": {"Đà Nẵng": {16.06, 108.21}, "Tam Kỳ": {15.57, 108.48}, "Hội An": {15.88, 108.33}},
	"51": {"Quảng Ngãi": {15.12, 108.80}, "Kon Tum": {14.35, 108.00}, "Lý Sơn": {15.38, 109.12}},
	"52": {"Pleiku": {13.98, 108.00}, "Quy Nhơn": {13.77, 109.22}},
	"56": {"Nha Trang": {12.25, 109.18}, "Phan Rang": {11.57, 108.99}},
	"66": {"Buôn Ma Thuột": {12.67, 108.04}, "Tuy Hòa": {13.09, 109.30}},
	"68": {"Đà Lạt": {11.94, 108.44}, "Phan Thiết": {10.94, 108.10}, "Gia Nghĩa": {12.00, 107.69}},
	"75": {"Biên Hòa": {10.95, 106.82}, "Đồng Xoài": {11.53, 106.89}},
	"79": {"Hồ Chí Minh": {10.78, 106.70}, "Thủ Dầu Một": {10.98, 106.65}, "Bà Rịa": {10.50, 107.17}, "Côn Đảo": {8.69, 106.60}},
	"80": {"Tân An": {10.54, 106.41}, "Tây Ninh": {11.31, 106.10}},
	"82": {"Cao Lãnh": {10.46, 105.63}, "Mỹ Tho": {10.36, 106.36}},
	"86": {"Vĩnh Long": {10.25, 105.97}, "Bến Tre": {10.24, 106.38}, "Trà Vinh": {9.94, 106.34}},
	"91": {"Rạch Giá": {10.01, 105.09}, "Long Xuyên": {10.38, 105.43}, "Phú Quốc": {10.23, 104.00}},
	"92": {"Cần Thơ": {10.03, 105.77}, "Sóc Trăng": {9.60, 105.97}, "Vị Thanh": {9.78, 105.47}},
	"96": {"Cà Mau": {9.18, 105.15}, "Bạc Liêu": {9.29, 105.72}},
}

func TestTowns(t *testing.T) {
	atlas := atlas34(t)
	if len(towns) != len(atlas.Provinces) {
		t.Fatalf("there are towns of %d provinces, want all", len(towns))
	}
	for _, p := range atlas.Provinces {
		for name, at := range towns[p.ID] {
			if !slices.ContainsFunc(p.Polygons, func(land Polygon) bool { return land.holds(Point{at[1], at[0]}) }) {
				t.Errorf("%s is not in %s", name, p.Name)
			}
		}
	}
}

// dots are the points of a line.
func dots(t *testing.T, line string) []dot {
	t.Helper()
	var list []dot
	var at dot
	for i, m := range regexp.MustCompile(`-?\d+`).FindAllString(line, -1) {
		n, err := strconv.Atoi(m)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			at.x += n
		} else {
			at.y += n
			list = append(list, at)
		}
	}
	return list
}

// follow is a ring, the way along its lines.
func follow(t *testing.T, lines [][]dot, ring []int) loop {
	t.Helper()
	var way []dot
	for _, n := range ring {
		line := lines[max(n, ^n)]
		if n < 0 {
			line = slices.Clone(line)
			slices.Reverse(line)
		}
		if len(way) > 0 && way[len(way)-1] != line[0] {
			t.Errorf("line %d begins at %v, where the one before does not end", n, line[0])
		}
		way = append(way, line...)
	}
	if len(way) == 0 || way[0] != way[len(way)-1] {
		t.Errorf("ring %v is not closed", ring)
	}
	return slices.Compact(way)
}

func TestDrawing(t *testing.T) {
	atlas := atlas34(t)
	d := atlas.Draw()
	if len(d.Provinces) != 34 {
		t.Errorf("%d provinces are drawn, want 34", len(d.Provinces))
	}
	var lines [][]dot
	for _, line := range d.Lines {
		lines = append(lines, dots(t, line))
	}
	frame := atlas.fit()
	used := map[int]int{} // how often each line is part of a province
	for i, p := range d.Provinces {
		var want []loop
		for _, polygon := range atlas.Provinces[i].Polygons {
			for _, ring := range polygon {
				if l := frame.loop(ring); len(l) > 2 {
					want = append(want, l)
				}
			}
		}
		if len(want) != len(p.Rings) {
			t.Errorf("%s has %d rings, want %d", p.Name, len(p.Rings), len(want))
			continue
		}
		inside := false
		for j, ring := range p.Rings {
			got := follow(t, lines, ring)
			if got.size() != want[j].size() || len(got) != len(want[j])+1 {
				t.Errorf("a ring of %s has %d points around %d units, want %d around %d", p.Name, len(got), got.size(), len(want[j])+1, want[j].size())
			}
			for _, at := range want[j] {
				if !slices.Contains(got, at) || at.x < 0 || at.y < 0 || at.x > d.Width || at.y > d.Height {
					t.Errorf("%s lacks %v or it is outside the drawing", p.Name, at)
				}
			}
			inside = inside || want[j].depth(dot{p.X, p.Y}) > 20
			for _, n := range ring {
				used[max(n, ^n)]++
			}
		}
		if !inside {
			t.Errorf("the label of %s is at %d, %d, not well inside", p.Name, p.X, p.Y)
		}
	}
	for _, n := range d.Borders {
		if used[n] != 2 {
			t.Errorf("line %d is a border of %d provinces, want 2", n, used[n])
		}
	}
	for _, n := range d.Coast {
		if used[n] != 1 {
			t.Errorf("line %d is a coast of %d provinces, want 1", n, used[n])
		}
	}
	if len(d.Borders) < 50 || len(d.Coast) < 50 || len(d.Borders)+len(d.Coast)+len(d.Graticule) != len(lines) {
		t.Errorf("%d borders, %d coasts and %d degrees are not all of %d lines", len(d.Borders), len(d.Coast), len(d.Graticule), len(lines))
	}
}

// TestArchipelagos checks that both archipelagos are marked at their true positions.
func TestArchipelagos(t *testing.T) {
	atlas := atlas34(t)
	d := atlas.Draw()
	number := map[string]int{}
	frame := atlas.fit()
	for i, m := range d.Islands {
		number[m.Province+" "+m.Group]++
		if want := frame.dot(atlas.Islands[i].At); want != (dot{m.X, m.Y}) {
			t.Errorf("a mark of %s is at %d, %d, want %v", m.Group, m.X, m.Y, want)
		}
	}
	if len(number) != 2 || number["48 hoangsa"] != 18 || number["56 truongsa"] != 21 {
		t.Errorf("the marks are %v, want 18 of 48 hoangsa and 21 of 56 truongsa", number)
	}
	// Phú Lâm and Ba Bình, from gazetteers.
	for group, at := range map[string]Point{HoangSa: {112.33, 16.84}, TruongSa: {114.37, 10.38}} {
		if !slices.ContainsFunc(atlas.Islands, func(i Island) bool { return i.Group == group && math.Hypot(i.At[0]-at[0], i.At[1]-at[1]) < 0.05 }) {
			t.Errorf("no mark of %s is near %v", group, at)
		}
	}
	want := []string{"Quần đảo Hoàng Sa|TP. Đà Nẵng", "Quần đảo Trường Sa|tỉnh Khánh Hòa"}
	for i, a := range d.Archipelagos {
		if a.Name+"|"+a.Of != want[i] || a.Left >= a.Right || a.Top >= a.Bottom || a.Right > d.Width || a.Bottom > d.Height {
			t.Errorf("an archipelago is %+v, want %s within the drawing", a, want[i])
		}
	}
}

// TestProjection checks what defines the projection: true scale on both parallels, equal angles, the origin.
func TestProjection(t *testing.T) {
	x0, y0 := project(Point{108, 16})
	if x0 != 0 {
		t.Errorf("the meridian 108 is at %v, want 0", x0)
	}
	// On the standard parallels distances are true: a degree of latitude there is a degree of a great circle.
	for _, latitude := range []float64{11, 21} {
		_, a := project(Point{108, latitude - 0.01})
		_, b := project(Point{108, latitude + 0.01})
		if scale := (b - a) / radians(0.02); math.Abs(scale-1) > 1e-6 {
			t.Errorf("the scale at %v is %v, want 1", latitude, scale)
		}
	}
	// Conformal: as much longer to the east as to the north.
	x, _ := project(Point{108.01, 16})
	_, y := project(Point{108, 16.01})
	if east, north := x/math.Cos(radians(16)), y-y0; math.Abs(east/north-1) > 1e-4 {
		t.Errorf("the scale at 16 is %v to the east and %v to the north", east, north)
	}
	if _, y := project(Point{108, 4}); math.Abs(y) > 1e-12 {
		t.Errorf("the origin is %v off", y)
	}
}

// Test63 checks that the map of the provinces until 2025-06-30 can be read too.
func Test63(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var places []Place
	for _, p := range data.Provinces63() {
		places = append(places, Place{ID: p.Code, Name: p.NameVI})
	}
	atlas, err := Load(bytes.NewReader(file(t, "vn63.topojson")), places)
	if err != nil {
		t.Fatal(err)
	}
	if len(atlas.Provinces) != 63 || len(atlas.Islands) != 39 {
		t.Errorf("the map has %d provinces and %d islands, want 63 and 39", len(atlas.Provinces), len(atlas.Islands))
	}
}

// geoJSON writes the atlas as a customer might: GeoJSON without marks.
func geoJSON(t *testing.T, atlas *Atlas, leaveOut func(province string, land Polygon) bool) []byte {
	t.Helper()
	var features []any
	for _, p := range atlas.Provinces {
		land := slices.Clone(p.Polygons)
		land = slices.DeleteFunc(land, func(polygon Polygon) bool { return leaveOut(p.ID, polygon) })
		if len(land) == 0 {
			continue
		}
		features = append(features, map[string]any{
			"type": "Feature", "id": p.ID, "geometry": map[string]any{"type": "MultiPolygon", "coordinates": land},
		})
	}
	content, err := json.Marshal(map[string]any{"type": "FeatureCollection", "features": features})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestGeoJSON(t *testing.T) {
	places, _ := provinces34(t)
	atlas := atlas34(t)
	again, err := Load(bytes.NewReader(geoJSON(t, atlas, func(string, Polygon) bool { return false })), places)
	if err != nil {
		t.Fatal(err)
	}
	want, got := atlas.Draw(), again.Draw()
	for i := range want.Provinces {
		if !reflect.DeepEqual(want.Provinces[i], got.Provinces[i]) {
			t.Errorf("%s is drawn otherwise from GeoJSON", want.Provinces[i].Name)
		}
	}
	if !slices.Equal(want.Lines, got.Lines) || !slices.Equal(want.Coast, got.Coast) || !slices.Equal(want.Borders, got.Borders) {
		t.Error("the outlines are drawn otherwise from GeoJSON")
	}
	marks := map[string]int{}
	for _, m := range got.Islands {
		marks[m.Group]++
	}
	if marks[HoangSa] == 0 || marks[TruongSa] == 0 {
		t.Errorf("the marks of land are %v", marks)
	}
}

func TestRefused(t *testing.T) {
	places, _ := provinces34(t)
	atlas := atlas34(t)
	topo := string(file(t, "vn34.topojson"))
	at := func(group string) func(string, Polygon) bool {
		sea := archipelagos[slices.IndexFunc(archipelagos, func(a archipelago) bool { return a.group == group })]
		return func(_ string, p Polygon) bool { return sea.holds(middle(p[0])) }
	}
	replaced := func(old, new string) []byte {
		if !strings.Contains(topo, old) {
			t.Fatalf("the map has no %s", old)
		}
		return []byte(strings.ReplaceAll(topo, old, new))
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"no province":   {geoJSON(t, atlas, func(id string, _ Polygon) bool { return id == "12" }), "the map lacks province 12 (Lai Châu)"},
		"no Hoàng Sa":   {geoJSON(t, atlas, at(HoangSa)), "the map lacks Quần đảo Hoàng Sa (TP. Đà Nẵng)"},
		"no Trường Sa":  {geoJSON(t, atlas, at(TruongSa)), "the map lacks Quần đảo Trường Sa (tỉnh Khánh Hòa)"},
		"another":       {replaced(`"id":"12"`, `"id":"13"`), `province "13" that is none of the 34`},
		"twice":         {replaced(`"id":"12"`, `"id":"11"`), `province 11 (Điện Biên) twice`},
		"wrongly owned": {replaced(`"g":"hoangsa"`, `"g":"paracel"`), `group "paracel"`},
		"elsewhere":     {replaced(`"g":"hoangsa"`, `"g":"truongsa"`), `group "truongsa" in province "48"`},
		"no arc":        {replaced(`[[0,`, `[[100000,`), "there is no arc 100000, only 177"},
		"projected":     {[]byte(`{"type":"FeatureCollection","features":[{"id":"01","geometry":{"type":"Polygon","coordinates":[[[500000,2300000],[500001,2300000],[500001,2300001],[500000,2300000]]]}}]}`), "coordinates must be degrees"},
		"open":          {[]byte(`{"type":"FeatureCollection","features":[{"id":"01","geometry":{"type":"Polygon","coordinates":[[[105,21],[106,21],[106,22],[105,22]]]}}]}`), `province "01" of the map has a line that is not closed`},
		"empty":         {[]byte(`{"type":"FeatureCollection","features":[{"id":"01","geometry":{"type":"Polygon","coordinates":[]}}]}`), "a polygon has no points"},
		"a line":        {[]byte(`{"type":"FeatureCollection","features":[{"id":"01","geometry":{"type":"LineString","coordinates":[]}}]}`), `a "LineString" is neither`},
		"no map":        {[]byte(`{"type":"Feature"}`), `the map is a "Feature"`},
		"no JSON":       {[]byte(`PK`), "the map is no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(bytes.NewReader(c.content), places); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// FuzzLoad checks that no file makes the reader panic, and that what it takes can be drawn.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"type":"Topology","arcs":[[[0,0],[1,0],[0,1],[-1,-1]]],"transform":{"scale":[1,1],"translate":[100,10]},"objects":{"provinces":{"geometries":[
		{"type":"Polygon","id":"48","arcs":[[0]]},{"type":"MultiPolygon","id":"56","arcs":[[[-1]]]}]},"islands":{"geometries":[
		{"type":"Point","id":"48","properties":{"g":"hoangsa"},"coordinates":[12,6]},{"type":"MultiPoint","id":"56","properties":{"g":"truongsa"},"coordinates":[[14,0]]}]}}}`))
	f.Add([]byte(`{"type":"FeatureCollection","features":[{"id":"48","geometry":{"type":"Polygon","coordinates":[[[112,16],[112.1,16],[112.1,16.1],[112,16]]]}},
		{"properties":{"id":"56"},"geometry":{"type":"MultiPolygon","coordinates":[[[[112,8],[112,8],[112,8],[112,8]]]]}}]}`))
	places := []Place{{ID: "48", Name: "Đà Nẵng"}, {ID: "56", Name: "Khánh Hòa"}}
	f.Fuzz(func(t *testing.T, content []byte) {
		atlas, err := Load(bytes.NewReader(content), places)
		if err != nil {
			return
		}
		if d := atlas.Draw(); len(d.Provinces) != 2 || len(d.Islands) < 2 {
			t.Errorf("the drawing has %d provinces and %d islands", len(d.Provinces), len(d.Islands))
		}
	})
}
