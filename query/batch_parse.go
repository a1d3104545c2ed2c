package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// scalars are the parameters of a question that have one value. All others are lists of codes.
var scalars = []string{"period", "from", "to", "at", "grain", "scheme", "compare", "scope", "sort"}

// wholes are those that are whole numbers.
var wholes = []string{"limit", "offset"}

// readJSON reads a body of at most limit bytes that says it is JSON.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "media-type", "The body is of another kind", "use Content-Type application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, newProblem(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", fmt.Sprintf("it has more than %d bytes", limit))
		}
		return nil, badParameter("body", "did not arrive whole")
	}
	return body, nil
}

// member is one of an object's.
type member struct {
	name  string
	value json.RawMessage
}

// members reads an object strictly: a name that comes twice is a mistake, and so is what is no object. The text is JSON.
func members(object json.RawMessage, at string) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, badParameter(at, "must be an object")
	}
	var all []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, badParameter(at, "must be an object")
		}
		m := member{name: name.(string)} // JSON has no other names
		if err := decoder.Decode(&m.value); err != nil {
			return nil, badParameter(at, "must be an object")
		}
		if slices.ContainsFunc(all, func(known member) bool { return known.name == m.name }) {
			return nil, badParameter(within(at, m.name), "is given twice")
		}
		all = append(all, m)
	}
	return all, nil
}

// within names a member of what is at a place; the body itself has no name there.
func within(at, name string) string {
	if at == "body" {
		return name
	}
	return at + "." + name
}

// parseBatch reads {"queries": [{"id": …, parameter: value …}, …]} strictly.
func parseBatch(body []byte) ([]wanted, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, badParameter("body", "is not JSON: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	top, err := members(whole, "body")
	if err != nil {
		return nil, err
	}
	var queries []json.RawMessage
	for _, m := range top {
		if m.name != "queries" {
			return nil, badParameter(m.name, `is unknown; the body is {"queries": [{"id": …}, …]}`)
		}
		if err := json.Unmarshal(m.value, &queries); err != nil {
			return nil, badParameter("queries", "must be a list of objects")
		}
	}
	if len(queries) == 0 || len(queries) > batchQueries {
		return nil, badParameter("queries", fmt.Sprintf("must be a list of 1 to %d queries", batchQueries))
	}
	asks := make([]wanted, len(queries))
	for i, query := range queries {
		if asks[i], err = parseAsk(query, i); err != nil {
			return nil, err
		}
	}
	return asks, nil
}

func parseAsk(query json.RawMessage, i int) (wanted, error) {
	all, err := members(query, place(i, ""))
	if err != nil {
		return wanted{}, err
	}
	one := wanted{parameters: url.Values{}}
	for _, m := range all {
		text, wrong := parameterText(m)
		if wrong != "" {
			return wanted{}, badParameter(place(i, m.name), wrong)
		}
		if m.name == "id" {
			one.id = text
			continue
		}
		one.parameters.Set(m.name, text)
	}
	if one.id == "" {
		return wanted{}, badParameter(place(i, "id"), "is missing: the id of a KPI")
	}
	return one, nil
}

// parameterText is the value as an address would have it, or what is wrong with it.
func parameterText(m member) (text, wrong string) {
	switch {
	case slices.Contains(wholes, m.name):
		var n int
		if m.value[0] == 'n' || json.Unmarshal(m.value, &n) != nil {
			return "", "must be a whole number"
		}
		return fmt.Sprint(n), ""
	case m.value[0] == '"':
		if err := json.Unmarshal(m.value, &text); err != nil {
			return "", "must be a text"
		}
		return text, ""
	case m.name == "id" || slices.Contains(scalars, m.name):
		return "", "must be a text"
	}
	var codes []*string
	if m.value[0] != '[' || json.Unmarshal(m.value, &codes) != nil {
		return "", "must be a text or a list of texts"
	}
	texts := make([]string, len(codes))
	for i, code := range codes {
		if code == nil || *code == "" || strings.Contains(*code, ",") {
			return "", "must be a list of codes, none of them empty or with a comma"
		}
		texts[i] = *code
	}
	return strings.Join(texts, ","), ""
}
