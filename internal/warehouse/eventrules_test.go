package warehouse

import (
	"errors"
	"strings"
	"testing"

	"ioc.local/internal/dossier"
)

// TestRulesInputOfAnotherFormIsRefused: what is cut off, or goes on, is no event.
func TestRulesInputOfAnotherFormIsRefused(t *testing.T) {
	long := strings.Repeat("x", 200) // its length takes two bytes
	whole := strings.Repeat("\x00", 4*8+2+15) + "\x0279\x0201\x03H26\x07DA06-03\xc8\x01" + long + "\x05popdb"
	var e dossier.Event
	if err := (&eventRules{rest: whole}).read(&e); err != nil || e.Province != "79" || e.Service != "DA06-03" || e.Procedure != long {
		t.Fatalf("%+v %v", e, err)
	}
	for n := range len(whole) {
		if err := (&eventRules{rest: whole[:n]}).read(&e); !errors.Is(err, errRulesInput) {
			t.Fatalf("the first %d of %d bytes are read: %v", n, len(whole), err)
		}
	}
	for _, more := range []string{whole + "\x00", whole[:len(whole)-6] + strings.Repeat("\xff", 20)} {
		if err := (&eventRules{rest: more}).read(&e); !errors.Is(err, errRulesInput) {
			t.Errorf("%q at the end is read: %v", more[len(whole)-6:], err)
		}
	}
}
