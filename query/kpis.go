package query

import (
	"net/http"
	"net/url"
	"slices"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// catalogueEntry is a definition as clients see it.
type catalogueEntry struct {
	ID            string          `json:"id"`
	Kind          kpi.Kind        `json:"kind"`
	Name          kpi.Text        `json:"name"`
	Description   kpi.Text        `json:"description"`
	Unit          string          `json:"unit"`
	Better        string          `json:"better"`
	Dimensions    []string        `json:"dimensions"`
	DefaultPeriod string          `json:"default_period"`
	Coverage      string          `json:"coverage_of"`
	Target        *kpi.Level      `json:"target"`
	Thresholds    *kpi.Thresholds `json:"thresholds"`
	MinCell       int             `json:"min_cell,omitempty"`
	Sensitive     bool            `json:"sensitive,omitempty"`
	Origin        string          `json:"origin"`
	Basis         kpi.Basis       `json:"basis"`
	Tags          []string        `json:"tags,omitempty"`
	Definition    string          `json:"definition"`
}

// catalogueHandler answers with the catalogue, which stays as it is while the server runs.
func (s *Server) catalogueHandler() (handler, error) {
	entries := []catalogueEntry{}
	for _, d := range s.deps.Catalogue.All() {
		entry := catalogueEntry{
			ID: d.ID, Kind: d.Kind, Name: d.Name, Description: d.Description, Unit: d.Unit, Better: d.Better,
			Dimensions: d.Dimensions, DefaultPeriod: d.DefaultPeriod, Coverage: d.Coverage, Target: d.Target, Thresholds: d.Thresholds,
			MinCell: d.MinCell, Sensitive: d.Sensitive, Origin: d.Origin, Basis: d.Basis, Tags: d.Tags,
			Definition: d.Hash(s.deps.Reference.Coefficients().Version()),
		}
		if entry.Dimensions == nil {
			entry.Dimensions = []string{}
		}
		entries = append(entries, entry)
	}
	content, err := encode(map[string]any{"kpis": entries})
	if err != nil {
		return nil, err
	}
	etag := etagOf(content)
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := only(r.URL, nil); err != nil {
			return err
		}
		if !fresh(w, r, etag) {
			writeJSON(w, content)
		}
		return nil
	}, nil
}

// answer is one KPI. The evaluator answers from its publication where it can, and then a 304 has cost no query.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) error {
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	if err := s.mayAsk(principal, r.PathValue("id"), "id"); err != nil {
		return err
	}
	values, err := parameters(r.URL)
	if err != nil {
		return err
	}
	question, err := kpi.ParseQuery(s.deps.Catalogue, r.PathValue("id"), values, kpi.Scope(principal.Scope))
	if err != nil {
		return err
	}
	answer, err := s.deps.Evaluator.Answer(r.Context(), question)
	if err != nil {
		return err
	}
	content, err := answer.AppendJSON(nil)
	if err != nil {
		return err
	}
	timeless := *answer
	timeless.EvaluatedAt = kpi.Time{}
	validated, err := timeless.AppendJSON(nil)
	if err != nil {
		return err
	}
	etag := etagOf([]byte(principal.Scope.String()), []byte(r.PathValue("id")), []byte(values.Encode()), []byte(answer.Revision), []byte(answer.Definition), validated)
	if !fresh(w, r, etag) {
		writeJSON(w, append(content, '\n'))
	}
	return nil
}

// mayAsk refuses a screen a KPI that is on none of its boards. parameter is what names the KPI in the request.
func (s *Server) mayAsk(principal access.Principal, id, parameter string) error {
	if principal.Role != access.Screen || slices.Contains(s.deps.ScreenKPIs, id) {
		return nil
	}
	p := forbidden("a screen may ask only for the KPIs of its boards; " + id + " is on none of them")
	p.Parameter = parameter
	return p
}

// parameters reads the parameters of an address.
func parameters(u *url.URL) (url.Values, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "parameter", "A parameter is wrong", "the parameters are not well-formed: separate them by & and escape % and ;")
	}
	return values, nil
}

// only checks that no other parameters are given than those known, and each once, and returns the first value of each.
func only(u *url.URL, known map[string]*string) error {
	values, err := parameters(u)
	if err != nil {
		return err
	}
	for name, given := range values {
		target, ok := known[name]
		if !ok {
			return badParameter(name, "is unknown here")
		}
		if len(given) != 1 {
			return badParameter(name, "may be given once")
		}
		*target = given[0]
	}
	return nil
}
