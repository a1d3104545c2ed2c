package event

import (
	"math/bits"
	"slices"

	"ioc.local/internal/reference"
)

// place is a province code in both schemes, as the columns province and province63 hold it.
type place struct {
	province, province63 []byte
}

// places holds the places of all codes, by scheme and the two digits of the code. Without a scheme there are two: before
// and since the day that the schemes changed.
type places struct {
	byScheme [3][100]place
	before   [100]place
	reused   [100]bool
}

func newPlaces(ref *reference.Data) (p places) {
	for i := range 100 {
		code := string([]byte{'0' + byte(i/10), '0' + byte(i%10)})
		p.reused[i] = ref.Reused(code)
		plain, whole := []byte(code), []byte("gso34:"+code)
		for _, scheme := range []reference.Scheme{reference.None, reference.GSO63, reference.GSO34} {
			province, ok := ref.ProvinceOf(scheme, code)
			if !ok {
				continue
			}
			_, in34 := ref.Province34(code)
			if scheme == reference.GSO63 || scheme == reference.None && !in34 {
				p.byScheme[scheme][i] = place{[]byte(province), plain}
			} else {
				p.byScheme[scheme][i] = place{[]byte(province), whole}
			}
			if scheme == reference.None {
				p.before[i] = place{[]byte(province), plain}
			}
		}
	}
	return p
}

// checkData checks fields against one another and derives those that the row adds.
func (d *Decoder) checkData() {
	t, r := d.event, &d.row
	if !d.hasData && t.required != 0 {
		d.body.fail(MissingField, "data")
		return
	}
	// A field that was met and has a fault of its own is reported as that.
	if missing := t.required &^ r.present; missing != 0 && d.body.reason == "" {
		d.body.fail(MissingField, t.pathOf(bits.TrailingZeros64(missing)))
	}
	if d.body.reason != "" {
		return // what follows relies on values that are there and valid
	}
	if t.registeredAt >= 0 && r.has(t.registeredAt) {
		if days := r.values[t.registeredAt].n; days < minDay || days > dayOf(d.occurred)+1 {
			d.body.fail(RegisteredOnOutOfRange, t.pathOf(t.registeredAt))
		}
	}
	if t.mostAt[0] >= 0 && d.version >= t.mostSince && r.has(t.mostAt[0]) && r.has(t.mostAt[1]) && t.moreThanMost(r) {
		d.body.fail(InvalidValue, t.pathOf(t.mostAt[0]))
	}
	if t.eitherAt[0] >= 0 && !r.has(t.eitherAt[0]) && !r.has(t.eitherAt[1]) {
		d.body.fail(MissingField, t.pathOf(t.eitherAt[0]))
	}
	d.checkPlace()
	d.checkService()
	d.checkOrigin()
}

func (d *Decoder) checkPlace() {
	r := &d.row
	at, fault := d.placeOf()
	if fault != "" {
		d.body.fail(fault, d.event.pathOf(provinceCodeAt))
	} else if at.province != nil {
		r.setText(provinceAt, at.province)
		r.setText(province63At, at.province63)
	}
}

// placeOf is the place of the event that was read, nothing where it has none or a faulty one.
func (d *Decoder) placeOf() (at place, fault Reason) {
	r := &d.row
	if !r.has(provinceCodeAt) {
		return place{}, ""
	}
	code := r.values[provinceCodeAt].s
	if len(code) != 2 || !allDigits(code) {
		return place{}, UnknownProvince
	}
	i := codeIndex(code)
	scheme := reference.None
	if r.has(schemeAt) {
		scheme = reference.Scheme(r.values[schemeAt].n) // the enumeration of the schema
	}
	at = d.places.byScheme[scheme][i]
	switch {
	case scheme == reference.None && d.places.reused[i]:
		return place{}, AmbiguousProvince
	case at.province == nil:
		return place{}, UnknownProvince
	case scheme == reference.None && d.occurred < mergerTime:
		at = d.places.before[i]
	}
	return at, ""
}

// checkService derives the service from the procedure, and keeps persons out of events about sensitive services and
// documents.
func (d *Decoder) checkService() {
	t, r := d.event, &d.row
	person := -1
	switch {
	case t.pseudonymAt >= 0 && r.has(t.pseudonymAt):
		person = t.pseudonymAt
	case r.has(communeAt):
		person = communeAt
	}
	given := r.has(serviceAt)
	sensitive := given && string(r.values[serviceAt].s) == sensitiveService ||
		t.documentAt >= 0 && r.has(t.documentAt) && slices.Contains(sensitiveDocuments, documentKinds[r.values[t.documentAt].n-1])
	if r.has(procedureAt) && (!given || person >= 0) {
		if service, ok := d.ref.ServiceOfProcedure(r.values[procedureAt].s); ok {
			sensitive = sensitive || service == sensitiveService
			if !given {
				r.setText(serviceAt, d.services[service])
			}
		}
	}
	if sensitive && person >= 0 {
		d.body.fail(SensitiveIdentity, t.pathOf(person))
	}
}

// pathOf is the path of the field that is stored in a column.
func (c *compiledType) pathOf(column int) string {
	for i := range c.fields {
		if c.fields[i].column == column {
			return c.fields[i].path
		}
	}
	return ""
}
