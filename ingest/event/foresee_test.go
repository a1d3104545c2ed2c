package event

import (
	"slices"
	"strings"
	"testing"
)

// TestForesee: the identity is told ahead where source and id come before data, once, and is the one that is asked for,
// wherever they come.
func TestForesee(t *testing.T) {
	const source, id, data = `"source":"/eid_auth/G01"`, `"id":"e-1"`, `"data":{"auth_method":["password"],"relying_party":"dvcqg","outcome":"success","assurance_level":2,"province_code":"01","admin_scheme":"gso34"}`
	const rest = `"specversion":"1.0","type":"vn.da06.auth.attempt.v1","time":"2026-11-25T11:00:00+07:00","subject":"s-1"`
	d, b := newTestDecoder(t), NewBatch()
	want := []Identity{d.Identify([]byte("/eid_auth/G01"), []byte("e-1"))}
	var foreseen, asked []Identity
	d.Foresee(func(id Identity) { foreseen = append(foreseen, id) })
	for _, c := range []struct {
		value string
		ahead []Identity
	}{
		{rest + "," + id + "," + source + "," + data, want},
		{source + "," + rest + "," + data + "," + id, nil},
		{data + "," + id + "," + source + "," + rest, want}, // data are read once the type is known
	} {
		foreseen, asked = nil, nil
		b.Reset("t", 0, testClock)
		if v := d.Decode(b, &Record{Value: []byte("{" + c.value + "}")}, func(id Identity) bool { asked = append(asked, id); return false }); v != Accepted {
			t.Errorf("%s: %s of %s", c.value, b.Rejections()[0].Reason, b.Rejections()[0].Field)
		}
		if !slices.Equal(foreseen, c.ahead) || !slices.Equal(asked, want) {
			t.Errorf("%s: foreseen %v, asked for %v, want %v", c.value, foreseen, asked, want)
		}
	}
}

// TestForeseeNothingLarge: what is rejected for its length takes no memory before that.
func TestForeseeNothingLarge(t *testing.T) {
	d, b := newTestDecoder(t), NewBatch()
	d.Foresee(func(Identity) { t.Error("foreseen") })
	b.Reset("t", 0, testClock)
	header := func(name, value string) Header { return Header{Key: name, Value: []byte(value)} }
	rec := &Record{Value: []byte(`{"assurance_level":2}`), Headers: []Header{header("ce_specversion", "1.0"), header("ce_type", "vn.da06.auth.attempt.v1"),
		header("ce_source", "/eid_auth/G01"), header("ce_time", "2026-11-25T11:00:00+07:00"), header("ce_id", strings.Repeat("x", 1<<20))}}
	if v := d.Decode(b, rec, nil); v != Rejected || cap(d.hashed) > 4*maxID {
		t.Errorf("verdict %v, and %d bytes are kept", v, cap(d.hashed))
	}
}

// TestTypesOfAVersion: a type that an older contract does not have is unknown to it, also right after such an event was read.
func TestTypesOfAVersion(t *testing.T) {
	d, b := newTestDecoder(t), NewBatch()
	b.Reset("t", 0, testClock)
	rec := &Record{Value: example(t, "eid.account.json")}
	mustAccept(t, d, b, rec)
	d.UseVersion(1)
	if v := d.Decode(b, rec, nil); v != Rejected || b.Rejections()[0].Reason != UnknownType {
		t.Errorf("verdict %v: %+v", v, b.Rejections())
	}
}
