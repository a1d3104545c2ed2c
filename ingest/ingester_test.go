package ingest

import "testing"

// TestChangedTopics joins the group again for what is certain, and for what is not only the second time.
func TestChangedTopics(t *testing.T) {
	read := map[string]int{"a": 2, "b": 3}
	for name, c := range map[string]struct {
		present       map[string]int
		doubt, before map[string]bool
		want          bool
	}{
		"the same":                          {present: read},
		"more partitions":                   {present: map[string]int{"a": 2, "b": 4}, want: true},
		"one more":                          {present: map[string]int{"a": 2, "b": 3, "c": 1}, want: true},
		"one in doubt":                      {present: map[string]int{"a": 2}, doubt: map[string]bool{"b": true}},
		"another before":                    {present: map[string]int{"a": 2}, doubt: map[string]bool{"b": true}, before: map[string]bool{"a": true}},
		"in doubt twice":                    {present: map[string]int{"a": 2}, doubt: map[string]bool{"b": true}, before: map[string]bool{"b": true}, want: true},
		"an error for good":                 {present: map[string]int{"a": 2}, doubt: map[string]bool{"b": false}, want: true},
		"gone from the answer":              {present: map[string]int{"a": 2}, want: true},
		"one in doubt, and more partitions": {present: map[string]int{"a": 4}, doubt: map[string]bool{"b": true}, want: true},
		"in doubt and never read":           {present: read, doubt: map[string]bool{"c": true}, before: map[string]bool{"c": true}},
	} {
		if got := changed(read, c.present, c.doubt, c.before); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
