package sql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse/engine"
)

// request is what a client asks.
type request struct {
	text   string
	params map[string]value
	format format
	scope  string // as given; empty for one's own
}

// maxParams bounds the parameters of a statement.
const maxParams = 100

var paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readRequest reads the address and the body.
func readRequest(w http.ResponseWriter, r *http.Request, maxBytes int64) (*request, *problem) {
	q := &request{params: map[string]value{}}
	wanted := ""
	for name, values := range r.URL.Query() {
		if len(values) != 1 {
			return nil, badParameter(name, "is given %d times", len(values))
		}
		param, isParam := strings.CutPrefix(name, "param_")
		switch {
		case isParam && paramName.MatchString(param):
			if !utf8.ValidString(values[0]) {
				return nil, badParameter(name, "is not UTF-8")
			}
			q.params[param] = value{text: values[0]}
		case name == "scope":
			if q.scope = values[0]; q.scope == "" {
				return nil, badParameter(name, "is empty; leave it out, or give a province's code or national")
			}
		case name == "format":
			wanted = values[0]
		default:
			return nil, badParameter(name, "is unknown; there are format, scope and param_<name>")
		}
	}
	var p *problem
	if q.format, p = chooseFormat(wanted, r.Header.Values("Accept")); p != nil {
		return nil, p
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, newProblem(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "it has more than %d bytes", maxBytes)
		}
		return nil, newProblem(http.StatusBadRequest, "parameter", "The body did not arrive", "the body could not be read to its end")
	}
	mediaType := r.Header.Get("Content-Type")
	if mediaType != "" {
		parsed, parameters, err := mime.ParseMediaType(mediaType)
		if charset := parameters["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
			return nil, unknownMedia()
		}
		mediaType = parsed
	}
	switch mediaType {
	case "", "text/plain", "application/sql", "application/x-www-form-urlencoded":
		q.text = string(body)
	case "application/json":
		if p := q.readJSON(body); p != nil {
			return nil, p
		}
	default:
		return nil, unknownMedia()
	}
	if len(q.params) > maxParams {
		return nil, badParameter("params", "are %d; at most %d are allowed", len(q.params), maxParams)
	}
	return q, nil
}

func unknownMedia() *problem {
	return newProblem(http.StatusUnsupportedMediaType, "media-type", "The body is of another kind", "use Content-Type application/json, or text/plain for the statement alone, in UTF-8")
}

func (q *request) readJSON(body []byte) *problem {
	bad := func(format string, args ...any) *problem {
		return newProblem(http.StatusBadRequest, "parameter", "The body is not as it should be", format, args...)
	}
	var content struct {
		Query  *string        `json:"query"`
		Params map[string]any `json:"params"`
	}
	if !utf8.Valid(body) {
		return bad("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(&content); err != nil {
		return bad("the body must be {\"query\": \"…\", \"params\": {…}}: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return bad("something follows the JSON of the body")
	}
	if content.Query == nil {
		return bad("the body has no member query")
	}
	q.text = *content.Query
	for name, v := range content.Params {
		if !paramName.MatchString(name) {
			return bad("params: %.60q is not a name of a parameter", name)
		}
		if _, twice := q.params[name]; twice {
			return bad("params: %s is also given as param_%s in the address", name, name)
		}
		if _, object := v.(map[string]any); object {
			return bad("params: %s is an object; a value must be a text, a number, a boolean, null or an array of these", name)
		}
		if text, ok := v.(string); ok {
			q.params[name] = value{text: text}
		} else {
			q.params[name] = value{json: v, own: true}
		}
	}
	return nil
}

// texts are the parameters as the audit log shows them.
func (q *request) texts() map[string]string {
	out := make(map[string]string, len(q.params))
	for name, v := range q.params {
		if out[name] = v.text; v.own {
			content, _ := json.Marshal(v.json) // it came from JSON
			out[name] = string(content)
		}
	}
	return out
}

// chooseScope finds the one scope that a statement runs in.
func chooseScope(own access.Scope, asked string) (access.Scope, engine.Scope, *problem) {
	if asked == "" {
		switch {
		case own.National:
			asked = "national"
		case len(own.Provinces) == 1:
			asked = own.Provinces[0]
		case len(own.Provinces) == 0:
			return access.Scope{}, engine.Scope{}, newProblem(http.StatusForbidden, "forbidden", "This is not for you to see", "your scope has no province")
		default:
			return access.Scope{}, engine.Scope{}, badParameter("scope", "must choose one of your provinces, since a statement runs in one: %s", strings.Join(own.Provinces, ", "))
		}
	}
	scope, err := access.ParseScope(asked)
	if err != nil || !scope.National && len(scope.Provinces) != 1 {
		return access.Scope{}, engine.Scope{}, badParameter("scope", "must be national or one province's code, such as 79")
	}
	if scope.National {
		if !own.National {
			return access.Scope{}, engine.Scope{}, forbiddenScope(asked, own)
		}
		return scope, engine.NationalScope(), nil
	}
	if !own.Contains(scope.Provinces[0]) {
		return access.Scope{}, engine.Scope{}, forbiddenScope(asked, own)
	}
	return scope, engine.ProvinceScope(scope.Provinces[0]), nil
}

func forbiddenScope(asked string, own access.Scope) *problem {
	p := newProblem(http.StatusForbidden, "forbidden", "This is not for you to see", "scope %s is not yours, which is %s", asked, own)
	p.Parameter = "scope"
	return p
}

// chooseFormat finds the form of the answer: what format says, else what Accept prefers.
func chooseFormat(wanted string, accept []string) (format, *problem) {
	if wanted != "" {
		for _, f := range formats {
			if f.name == wanted {
				return f, nil
			}
		}
		return format{}, badParameter("format", "must be json, ndjson or csv")
	}
	best, bestQuality := format{}, 0.0
	ranges := strings.Split(strings.Join(accept, ","), ",")
	for _, item := range ranges {
		mediaType, parameters, err := mime.ParseMediaType(strings.TrimSpace(item))
		if err != nil {
			continue
		}
		quality := 1.0
		if text, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		for _, f := range formats {
			if quality > bestQuality && (mediaType == f.media || mediaType == "*/*" || mediaType == strings.SplitN(f.media, "/", 2)[0]+"/*") {
				best, bestQuality = f, quality
			}
		}
	}
	if best.name == "" {
		if strings.TrimSpace(strings.Join(accept, "")) == "" {
			return formats[0], nil
		}
		return format{}, newProblem(http.StatusNotAcceptable, "not-acceptable", "There is no such format", "%s",
			fmt.Sprintf("Accept must allow %s, %s or %s", formats[0].media, formats[1].media, formats[2].media))
	}
	return best, nil
}
