package event

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Attributes of CloudEvents that are read. Others are extensions, and ignored.
const (
	attributeSpecVersion = iota
	attributeID
	attributeSource
	attributeType
	attributeTime
	attributeSubject
	attributeContentType // datacontenttype, in structured mode
	attributeBase64      // data_base64, in structured mode
	attributeData        // data, in structured mode
	attributeCount
)

var attributeNames = [attributeCount]string{"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data_base64", "data"}

// attributeOf is the position of an attribute, -1 for an extension.
func attributeOf[S string | []byte](name S) int {
	switch string(name) {
	case "specversion":
		return attributeSpecVersion
	case "id":
		return attributeID
	case "source":
		return attributeSource
	case "type":
		return attributeType
	case "time":
		return attributeTime
	case "subject":
		return attributeSubject
	case "datacontenttype":
		return attributeContentType
	case "data_base64":
		return attributeBase64
	case "data":
		return attributeData
	}
	return -1
}

const headerPrefix = "ce_"

// content tells the content mode by the headers: structured, unless there is another content-type, or none but ce_
// headers.
func (d *Decoder) content(headers []Header) (structured bool) {
	attributes := false
	for i := range headers {
		h := &headers[i]
		if strings.EqualFold(h.Key, "content-type") {
			media := mediaType(h.Value)
			if bytes.EqualFold(media, []byte("application/cloudevents+json")) {
				return true
			}
			const family = "application/cloudevents"
			other := len(media) >= len(family) && bytes.EqualFold(media[:len(family)], []byte(family)) // batches, other formats
			if other || !isJSONMedia(media) {
				d.whole.fail(UnsupportedContent, "content-type")
			}
			return false
		}
		attributes = attributes || strings.HasPrefix(h.Key, headerPrefix)
	}
	return !attributes
}

func mediaType(contentType []byte) []byte {
	media, _, _ := bytes.Cut(contentType, []byte(";"))
	return bytes.TrimSpace(media)
}

func isJSONMedia(media []byte) bool {
	const suffix = "+json"
	return string(media) == "application/json" || bytes.EqualFold(media, []byte("application/json")) || bytes.EqualFold(media, []byte("text/json")) ||
		len(media) > len(suffix) && bytes.EqualFold(media[len(media)-len(suffix):], []byte(suffix))
}

// readHeaders takes the attributes of binary mode.
func (d *Decoder) readHeaders(headers []Header) {
	for i := range headers {
		h := &headers[i]
		if !strings.HasPrefix(h.Key, headerPrefix) {
			continue
		}
		at := attributeOf(h.Key[len(headerPrefix):])
		if at < 0 || at > attributeSubject {
			continue
		}
		switch {
		case d.given&(1<<at) != 0:
			d.envelope.fail(DuplicateField, attributeNames[at])
			continue
		case !utf8.Valid(h.Value):
			d.whole.fail(NotUTF8, attributeNames[at])
		case slices.ContainsFunc(h.Value, func(c byte) bool { return c < ' ' }):
			d.envelope.fail(InvalidValue, attributeNames[at])
		}
		d.setAttribute(at, h.Value)
	}
}

func (d *Decoder) setAttribute(at int, text []byte) {
	d.given |= 1 << at
	d.attributes[at] = text
	if at == attributeType {
		if d.lastType == nil || d.lastType.full != string(text) { // most events are of the type of the one before
			d.lastType = d.types[string(text)]
		}
		d.event = d.lastType
	}
}

// readEnvelope reads the JSON envelope of structured mode. Data is read at once if the type is known by then.
func (d *Decoder) readEnvelope() bool {
	s := &d.scan
	if s.peek() != '{' {
		d.envelope.fail(NotCloudEvent, "")
		return s.skip(0)
	}
	s.pos++
	at := -1
	for first := true; ; first = false {
		guess := &d.likely[at+1]
		var ok bool
		if *guess > 0 && s.memberNamed(first, attributeNames[*guess-1]) {
			at = int(*guess) - 1
		} else {
			var name []byte
			var more bool
			if name, more, ok = s.member(first); !more {
				return ok
			}
			at = attributeOf(name)
			*guess = uint8(at + 1)
		}
		switch {
		case at < 0:
			ok = s.skip(1)
		case d.given&(1<<at) != 0:
			d.envelope.fail(DuplicateField, attributeNames[at])
			ok = s.skip(1)
		case at == attributeData && d.event != nil:
			d.given |= 1 << at
			ok = d.readData()
		case at == attributeData:
			d.given |= 1 << at
			s.peek()
			d.data = s.pos
			ok = s.skip(1)
		default:
			ok = d.readAttribute(at)
		}
		if !ok {
			return false
		}
	}
}

func (d *Decoder) readAttribute(at int) bool {
	s := &d.scan
	switch c := s.peek(); {
	case c == 'n':
		d.given |= 1 << at
		return s.literal("null")
	case c == '"':
		text, ok := s.text()
		if s.control {
			d.envelope.fail(InvalidValue, attributeNames[at])
		}
		d.setAttribute(at, text)
		return ok
	case at == attributeSpecVersion:
		d.envelope.fail(NotCloudEvent, attributeNames[at])
	default:
		d.envelope.fail(InvalidType, attributeNames[at])
	}
	d.given |= 1 << at
	return s.skip(1)
}

// checkEnvelope validates the attributes.
func (d *Decoder) checkEnvelope(clock int64) {
	f := &d.envelope
	if version := d.attributes[attributeSpecVersion]; string(version) != "1.0" {
		f.fail(NotCloudEvent, "specversion")
	}
	for _, at := range [...]int{attributeID, attributeSource, attributeType, attributeTime} {
		if len(d.attributes[at]) == 0 {
			f.fail(MissingField, attributeNames[at])
		}
	}
	if d.attributes[attributeBase64] != nil {
		f.fail(UnsupportedContent, "data_base64")
	}
	if media := d.attributes[attributeContentType]; len(media) > 0 && !isJSONMedia(mediaType(media)) {
		f.fail(UnsupportedContent, "datacontenttype")
	}
	if d.event == nil {
		f.fail(UnknownType, "type")
	} else if d.event.subject && len(d.attributes[attributeSubject]) == 0 {
		f.fail(MissingField, "subject")
	}
	org, ok := sourceOrg(d.attributes[attributeSource])
	if !ok {
		f.fail(InvalidSource, "source")
	}
	d.checkIdentifier(attributeSource, org, maxOrg)
	d.checkIdentifier(attributeID, d.attributes[attributeID], maxID)
	d.checkIdentifier(attributeSubject, d.attributes[attributeSubject], maxSubject)
	if d.occurred, ok = parseTime(d.attributes[attributeTime]); !ok {
		f.fail(InvalidValue, "time")
	} else if d.occurred < minTime {
		f.fail(TimeTooOld, "time")
	} else if d.occurred > clock+maxAhead {
		f.fail(TimeInFuture, "time")
	}
	d.checkSource()
}

func (d *Decoder) checkIdentifier(at int, text []byte, longest int) {
	if len(text) > longest {
		d.envelope.fail(InvalidValue, attributeNames[at])
	}
	if identifierIsPersonal(text) {
		d.envelope.fail(PersonalData, attributeNames[at])
	}
}

// sourceOrg takes the organisation out of /<system>/<org>. Where the source is not so formed it is all of it, so that
// it can still be looked at.
func sourceOrg(source []byte) (org []byte, ok bool) {
	if len(source) == 0 || source[0] != '/' {
		return source, false
	}
	system, org, ok := bytes.Cut(source[1:], []byte("/"))
	if !ok || len(org) == 0 || !isAlnum(org[0]) || !isSystem(system) {
		return org, false
	}
	for _, c := range org {
		if !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return org, false
		}
	}
	return org, true
}

func isSystem(name []byte) bool {
	for _, system := range systems {
		if system == string(name) {
			return true
		}
	}
	return false
}
