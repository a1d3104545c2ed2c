package event

import "ioc.local/internal/reference"

// origin is what the registry of sources lets one source send.
type origin struct {
	types      uint64 // one bit for each of eventTypes
	everywhere bool
	provinces  [100]bool // by the two digits of the code
}

// newOrigins reads the registry; it is nil without one.
func newOrigins(registry *reference.Sources) map[string]*origin {
	if registry == nil {
		return nil
	}
	origins := make(map[string]*origin)
	for _, source := range registry.All() {
		o := &origin{everywhere: source.Provinces == nil}
		for i, t := range eventTypes {
			allowed := source.Types == nil || t.name == voidType // a source may always take back its own
			for _, name := range source.Types {
				allowed = allowed || name == t.name
			}
			if allowed {
				o.types |= 1 << i
			}
		}
		for _, code := range source.Provinces {
			o.provinces[codeIndex([]byte(code))] = true
		}
		origins[source.Name] = o
	}
	return origins
}

// checkSource looks up the source in the registry.
func (d *Decoder) checkSource() {
	if d.origins == nil || d.event == nil {
		return
	}
	if d.origin = d.origins[string(d.attributes[attributeSource])]; d.origin == nil {
		d.envelope.fail(SourceNotAllowed, "source")
	} else if d.origin.types&(1<<d.event.index) == 0 {
		d.envelope.fail(SourceNotAllowed, "type")
	}
}

// checkOrigin checks the province of the event, which is national without one, against what its source may send.
func (d *Decoder) checkOrigin() {
	o, r := d.origin, &d.row
	if o == nil || o.everywhere || d.event.name == voidType {
		return
	}
	if !r.has(provinceAt) || !o.provinces[codeIndex(r.values[provinceAt].s)] {
		d.body.fail(SourceNotAllowed, d.event.pathOf(provinceCodeAt))
	}
}

// codeIndex is the number that a code of two digits is.
func codeIndex(code []byte) int { return int(code[0]-'0')*10 + int(code[1]-'0') }
