package event

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ioc.local/internal/reference"
)

// The oracle reads events with encoding/json, package time and regular expressions: the same contract, written a second
// time with other means, and without reasons. It says what row an event becomes, or that it is not valid.

type member struct {
	name string
	raw  json.RawMessage
}

// membersOf lists the members of an object.
func membersOf(value []byte) (members []member, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		m := member{name: name.(string)}
		if err := decoder.Decode(&m.raw); err != nil {
			return nil, false
		}
		members = append(members, m)
	}
	return members, true
}

func depthOf(value []byte) (deepest int) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	depth := 0
	for {
		t, err := decoder.Token()
		if err != nil {
			return deepest
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
			continue
		default:
			deepest = max(deepest, depth+1)
			continue
		}
		deepest = max(deepest, depth)
	}
}

var (
	escapes  = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)
	highHalf = regexp.MustCompile(`^\\u[dD][89abAB]`)
	lowHalf  = regexp.MustCompile(`^\\u[dD][c-fC-F]`)
)

// hasHalfSurrogate tells whether a valid JSON text has an escape that is half of a pair.
func hasHalfSurrogate(value []byte) bool {
	all := escapes.FindAllIndex(value, -1)
	for i := 0; i < len(all); i++ {
		e := value[all[i][0]:all[i][1]]
		if highHalf.Match(e) && i+1 < len(all) && all[i+1][0] == all[i][1] && lowHalf.Match(value[all[i+1][0]:]) {
			i++
			continue
		}
		if highHalf.Match(e) || lowHalf.Match(e) {
			return true
		}
	}
	return false
}

func oracleJSON(value []byte) bool {
	return utf8.Valid(value) && json.Valid(value) && depthOf(value) <= maxDepth && !hasHalfSurrogate(value)
}

const (
	oracleLabel  = `[A-Za-z0-9\-\x{80}-\x{ff}]`
	oracleLetter = `[A-Za-z\x{80}-\x{ff}]`
)

var (
	oracleEmail     = regexp.MustCompile(`[A-Za-z0-9._%+\-\x{80}-\x{ff}]@` + oracleLabel + `+(\.` + oracleLabel + `+)*?\.` + oracleLetter + `{2,}([^A-Za-z0-9\-\x{80}-\x{ff}]|$)`)
	oracleWholeMail = regexp.MustCompile(`^[^ \t\r\n]+@` + oracleLabel + `+(\.` + oracleLabel + `+)*?\.` + oracleLetter + `{2,}(\.` + oracleLabel + `+)*\.?$`)
	oracleToken     = regexp.MustCompile(`[A-Za-z0-9._+@-]+`)
	oracleUUID      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	oracleIdentity  = regexp.MustCompile(`^([0-9]{9}|[0-9]{12})$`)
	oracleSpelled   = regexp.MustCompile(`^[+(0-9][0-9.() -]*$`)
	oraclePhone     = regexp.MustCompile(`^(0|(\+|00)?840?)([35789][0-9]{8}|2[0-9]{9}|1[2689][0-9]{8})$`)
	oracleNoDigit   = regexp.MustCompile(`[^0-9]`)
)

// bytewise makes a rune of each byte, since the scan works on bytes.
func bytewise(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func oracleNumber(s string) bool {
	if oracleIdentity.MatchString(s) {
		return true
	}
	if !oracleSpelled.MatchString(s) {
		return false
	}
	digits := oracleNoDigit.ReplaceAllString(s, "")
	if strings.HasPrefix(s, "+") {
		digits = "+" + digits
	}
	return oraclePhone.MatchString(digits)
}

func oracleIdentifierIsPersonal(s string) bool {
	s = strings.TrimSpace(s)
	return oracleNumber(s) || oracleWholeMail.MatchString(bytewise(s))
}

func oracleTextIsPersonal(s string) bool { return oracleSearch(s, true) }

// oracleSearch looks for a token that is personal data, between its hyphens too where it is told to.
func oracleSearch(s string, hyphens bool) bool {
	s = bytewise(s)
	if oracleEmail.MatchString(s) {
		return true
	}
	trim := func(s string) string { return strings.TrimRight(strings.TrimLeft(s, "._@-"), "._@-+") }
	for _, token := range oracleToken.FindAllString(s, -1) {
		if oracleNumber(trim(token)) {
			return true
		}
		if hyphens && !oracleUUID.MatchString(token) && slices.ContainsFunc(strings.Split(token, "-"), func(p string) bool { return oracleNumber(trim(p)) }) {
			return true
		}
	}
	return false
}

// oracleValueIsPersonal looks at every text and name inside a value.
func oracleValueIsPersonal(raw []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := decoder.Token()
		if err != nil {
			return false
		}
		if s, ok := t.(string); ok && oracleTextIsPersonal(s) {
			return true
		}
	}
}

var (
	oracleStrong = regexp.MustCompile("^(" + oracleAny(weakWords) + ")*(" + oracleAny(strongWords) + ")(" + oracleAny(append(slices.Clone(weakWords), strongWords...)) + ")*$")
	oracleWeak   = regexp.MustCompile("^(" + oracleAny(weakWords) + ")*$")
)

func oracleAny(words []string) string { return strings.Join(words, "|") }

// oracleLetters are the plain letters of a name.
func oracleLetters(name string) string {
	var out []rune
	for _, r := range strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "đ", "d"), "Đ", "d")) {
		for plain, marked := range markedLetters {
			if strings.ContainsRune(marked, r) {
				r = rune(plain)
			}
		}
		if 'a' <= r && r <= 'z' {
			out = append(out, r)
		}
	}
	return string(out)
}

// oracleNumberIsPersonal looks for somebody's number in a value at the end of a path of names.
func oracleNumberIsPersonal(path []string, raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '{':
		members, _ := membersOf(raw)
		return slices.ContainsFunc(members, func(m member) bool {
			return oracleNumberIsPersonal(append(slices.Clone(path), m.name), m.raw)
		})
	case '[':
		var elements []json.RawMessage
		_ = json.Unmarshal(raw, &elements)
		return slices.ContainsFunc(elements, func(e json.RawMessage) bool { return oracleNumberIsPersonal(path, e) })
	case '"', 't', 'f', 'n':
		return false
	}
	mantissa := strings.TrimLeft(strings.ReplaceAll(regexp.MustCompile(`[-eE].*`).ReplaceAllString(string(raw), ""), ".", ""), "0")
	if len(mantissa) < 8 || len(mantissa) > 12 {
		return false
	}
	letters := ""
	for _, name := range slices.Backward(path[max(0, len(path)-3):]) {
		letters = oracleLetters(name) + letters
		if len(letters) > 48 {
			return false
		}
		if oracleStrong.MatchString(letters) {
			return true
		}
		if !oracleWeak.MatchString(letters) {
			return false
		}
	}
	return false
}

// timeForm is what package time is too lenient about.
var timeForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

func oracleTime(s string) (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.Truncate(time.Millisecond), err == nil && timeForm.MatchString(s)
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

func textOf(raw json.RawMessage) (s string, ok bool) {
	ok = json.Unmarshal(raw, &s) == nil && !isNull(raw)
	return s, ok
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

var vietnam = time.FixedZone("", 7*3600)

type oracle struct {
	ref   *reference.Data
	clock time.Time
	types map[string]eventType
	row   map[string]any // valid once the event was found to be so
}

func newOracle(tb testing.TB) *oracle {
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	o := &oracle{ref: ref, clock: time.UnixMilli(testClock), types: make(map[string]eventType)}
	for _, t := range eventTypes {
		o.types["vn.da06."+t.name+".v1"] = t
	}
	return o
}

// structured reads an event in structured mode.
func (o *oracle) structured(value []byte) (table string, ok bool) {
	if len(value) > MaxPayload || !oracleJSON(value) {
		return "", false
	}
	members, ok := membersOf(value)
	if !ok {
		return "", false
	}
	attributes := make(map[string]string)
	met := make(map[string]bool)
	var data json.RawMessage
	for _, m := range members {
		if !slices.Contains(attributeNames[:], m.name) {
			continue
		}
		if met[m.name] {
			return "", false
		}
		met[m.name] = true
		switch {
		case m.name == "data":
			data = m.raw
		case isNull(m.raw):
		default:
			s, ok := textOf(m.raw)
			if !ok || hasControl(s) || m.name == "data_base64" {
				return "", false
			}
			attributes[m.name] = s
		}
	}
	content := strings.ToLower(strings.TrimSpace(strings.Split(attributes["datacontenttype"], ";")[0]))
	if attributes["datacontenttype"] != "" && !regexp.MustCompile(`^(application/json|text/json|.+\+json)$`).MatchString(content) {
		return "", false
	}
	return o.event(attributes, data)
}

// binary reads an event in binary mode.
func (o *oracle) binary(headers []Header, data []byte) (table string, ok bool) {
	attributes := make(map[string]string)
	for _, h := range headers {
		name, ok := strings.CutPrefix(h.Key, "ce_")
		if !ok || !slices.Contains(attributeNames[:6], name) {
			continue
		}
		if _, twice := attributes[name]; twice || !utf8.Valid(h.Value) || hasControl(string(h.Value)) {
			return "", false
		}
		attributes[name] = string(h.Value)
	}
	if len(data) > MaxPayload || !oracleJSON(data) {
		return "", false
	}
	return o.event(attributes, data)
}

func (o *oracle) event(attributes map[string]string, data json.RawMessage) (table string, ok bool) {
	source := regexp.MustCompile(`^/([a-z_]+)/([A-Za-z0-9][A-Za-z0-9._-]{0,63})$`).FindStringSubmatch(attributes["source"])
	t, known := o.types[attributes["type"]]
	when, timely := oracleTime(attributes["time"])
	switch {
	case attributes["specversion"] != "1.0", !known, !timely, source == nil || !slices.Contains(systems, source[1]),
		attributes["id"] == "" || len(attributes["id"]) > 256, len(attributes["subject"]) > 256,
		t.subject && attributes["subject"] == "",
		oracleIdentifierIsPersonal(attributes["id"]), oracleIdentifierIsPersonal(source[2]), oracleIdentifierIsPersonal(attributes["subject"]),
		when.Before(time.Date(2022, 1, 6, 0, 0, 0, 0, vietnam)), when.After(o.clock.Add(5 * time.Minute)),
		(data == nil || isNull(data)) && t.name != "event.void":
		return "", false
	}
	o.row = map[string]any{"occurred_at": stamp(when), "type": t.name, "source": attributes["source"], "event_id": attributes["id"]}
	if attributes["subject"] != "" {
		o.row["subject"] = attributes["subject"]
	}
	return tables[t.table].name, o.data(t, when, data)
}

func stamp(t time.Time) string { return t.In(vietnam).Format("2006-01-02T15:04:05.000Z07:00") }

func (o *oracle) data(t eventType, when time.Time, data json.RawMessage) bool {
	var members []member
	if data != nil && !isNull(data) { // in which case only a void gets here
		var ok bool
		if members, ok = membersOf(data); !ok {
			return false
		}
	}
	fields := make(map[string]field)
	for _, f := range append(slices.Clone(commonFields), t.fields...) {
		fields[f.name] = f
	}
	met := make(map[string]bool)
	extra := make(map[string]json.RawMessage)
	for _, m := range members {
		if met[m.name] {
			return false
		}
		met[m.name] = true
		f, known := fields[m.name]
		if !known {
			if extra[m.name] = m.raw; oracleTextIsPersonal(m.name) || oracleValueIsPersonal(m.raw) || oracleNumberIsPersonal([]string{m.name}, m.raw) {
				return false
			}
			continue
		}
		if isNull(m.raw) {
			continue
		}
		v, ok := o.field(f, m.raw)
		if !ok || v != nil && f.kind == pseudonymField && t.table == registerEvents {
			return false
		}
		if v != nil {
			name := f.name
			if f.column != "" {
				name = f.column
			}
			o.row[name] = v
		}
	}
	for _, f := range fields {
		name := f.name
		if f.column != "" {
			name = f.column
		}
		if f.required && o.row[name] == nil {
			return false
		}
	}
	if len(extra) > 0 {
		o.row["extra"] = extra
	}
	if day, ok := o.row["registered_on"].(string); ok {
		if latest := when.In(vietnam).AddDate(0, 0, 1).Format(time.DateOnly); day < "2022-01-06" || day > latest {
			return false
		}
	}
	evaluated, _ := o.row["evaluated"].(int)
	if passing, _ := o.row["passing"].(int); passing > evaluated {
		return false
	}
	whole, given := o.row["denominator"].(float64)
	if part, _ := o.row["value"].(float64); given && part > whole {
		return false
	}
	if t.name == "service.catalog" && o.row["service_id"] == nil && o.row["procedure_code"] == nil {
		return false
	}
	if !o.place(when) || !o.service() {
		return false
	}
	o.complete(t, fields)
	return true
}

// complete counts the fields that the event should have, and has.
func (o *oracle) complete(t eventType, fields map[string]field) {
	should := make(map[string]bool)
	for _, name := range t.expects {
		should[name] = true
	}
	for _, f := range fields {
		if f.required {
			should[f.name] = true
		}
	}
	if t.name == "dossier.status" && o.row["status"] == 2 {
		for _, name := range t.expectsAccepted {
			should[name] = true
		}
	}
	present := 0
	for name := range should {
		if slices.ContainsFunc(strings.Split(name, "|"), func(one string) bool {
			return o.row[cmp.Or(fields[one].column, one)] != nil
		}) {
			present++
		}
	}
	o.row["fields_expected"], o.row["fields_present"] = len(should), present
}

func (o *oracle) field(f field, raw json.RawMessage) (v any, ok bool) {
	text, isText := textOf(raw)
	if isText && hasControl(text) {
		return nil, false
	}
	switch f.kind {
	case identifierField, pseudonymField, digitsField, serviceField, proseField:
		if !isText || text == "" {
			return nil, isText
		}
		personal := oracleIdentifierIsPersonal(text)
		if f.kind == proseField {
			personal = oracleTextIsPersonal(text)
		}
		_, known := o.ref.Service(text)
		bad := f.kind == digitsField && !regexp.MustCompile(`^[0-9]{5}$`).MatchString(text) || f.kind == serviceField && !known
		return text, !personal && !bad && int64(len(text)) <= f.max
	case enumField:
		i := slices.Index(f.values, text)
		return i + 1, isText && i >= 0
	case enumsField:
		var names []*string
		if json.Unmarshal(raw, &names) != nil || len(names) == 0 {
			return nil, false
		}
		mask := 0
		for _, name := range names {
			if name == nil || !slices.Contains(f.values, *name) {
				return nil, false
			}
			mask |= 1 << slices.Index(f.values, *name)
		}
		return mask, true
	case flagField:
		var truth bool
		if json.Unmarshal(raw, &truth) == nil {
			return map[bool]int{false: 1, true: 2}[truth], true
		}
		fallthrough
	case integerField:
		var n int64
		if json.Unmarshal(raw, &n) != nil {
			return nil, false
		}
		if f.kind == flagField {
			return int(n) + 1, n == 0 || n == 1
		}
		if f.name == "collect_when" {
			return int(n), n == 1 || n == 2 || n == 4
		}
		return int(n), f.min <= n && n <= f.max
	case numberField:
		var value float64
		if json.Unmarshal(raw, &value) != nil {
			return nil, false
		}
		if n, integral := new(big.Int).SetString(strings.TrimSpace(string(raw)), 10); integral && n.CmpAbs(big.NewInt(1<<53)) > 0 {
			return nil, false
		}
		if f.name == "value" || f.name == "denominator" { // official figures
			return value, value >= 0 && value <= 1<<53 && (f.name == "value" || value > 0)
		}
		return value, value >= float64(f.min)
	case dateField:
		day, err := time.Parse(time.DateOnly, text)
		inRange := f.name == "registered_on" || day.Year() >= 1970 && day.Year() < 2100
		return text, isText && err == nil && inRange
	case timeField:
		t, ok := oracleTime(text)
		from, to := time.Date(2022, 1, 6, 0, 0, 0, 0, vietnam), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		return stamp(t), ok && isText && !t.Before(from) && t.Before(to)
	}
	panic(f.kind)
}

func (o *oracle) place(when time.Time) bool {
	code, _ := o.row["province_code"].(string)
	if code == "" {
		return true
	}
	scheme, _ := o.row["admin_scheme"].(int)
	_, in63 := o.ref.Province63(code)
	_, in34 := o.ref.Province34(code)
	switch scheme {
	case 0:
		if slices.Contains([]string{"15", "24", "44", "52", "80", "82", "91"}, code) {
			return false
		}
		if in34 = in34 && !when.Before(time.Date(2025, 7, 1, 0, 0, 0, 0, vietnam)); !in34 && !in63 {
			return false
		}
	case 1:
		in34 = false
	case 2:
		in63 = false
	}
	if !in34 && !in63 {
		return false
	}
	o.row["province"], o.row["province63"] = code, "gso34:"+code
	if !in34 {
		p, _ := o.ref.Province63(code)
		o.row["province"], o.row["province63"] = p.Code34, code
	}
	return true
}

func (o *oracle) service() bool {
	service, _ := o.row["service_id"].(string)
	procedure, _ := o.row["procedure_code"].(string)
	derived, _ := o.ref.ServiceOfProcedure([]byte(procedure))
	if service == "" && derived != "" {
		o.row["service_id"] = derived
	}
	person := o.row["subject_pid"] != nil || o.row["commune_code"] != nil
	kind, _ := o.row["document_kind"].(int)
	return !person || service != "DA06-22" && derived != "DA06-22" && kind != 1 && kind != 5 // health book, judicial record
}
