package ingest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataRoundTrip(t *testing.T) {
	for _, want := range []metadata{
		{},
		{Incarnation: 2},
		{Pending: &Pending{Last: 12, Clock: 1763700000000, Contract: 1, Token: "t@2/0/10-12"}},
		{Pending: &Pending{Last: 12, Clock: 1763700000000, Contract: 1, Records: 3, Token: "t@2/0/10-12"}},
	} {
		text, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 4096 {
			t.Errorf("%d bytes, brokers take 4096 by default", len(text))
		}
		got, err := decodeMetadata(text, 10)
		if err != nil {
			t.Fatal(err)
		}
		want.Format = metadataFormat
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestForeignMetadataIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "not from this program",
		"hello":              "not from this program",
		`{"ioc":2}`:          "not from this program",
		`{"ioc":1,"next":3}`: "not from this program",
		`{"ioc":1,"pending":{"last":9,"clock":1,"contract":1,"token":"x"}}`:               "not valid",
		`{"ioc":1,"pending":{"last":10,"clock":0,"contract":1,"token":"x"}}`:              "not valid",
		`{"ioc":1,"pending":{"last":10,"clock":1,"contract":1,"token":""}}`:               "not valid",
		`{"ioc":1,"pending":{"last":10,"clock":1,"contract":1,"records":2,"token":"x"}}`:  "not valid",
		`{"ioc":1,"pending":{"last":10,"clock":1,"contract":1,"records":-1,"token":"x"}}`: "not valid",
	} {
		if _, err := decodeMetadata(text, 10); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}
