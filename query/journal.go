package query

import (
	"net/http"
	"time"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// journal is what was published of a KPI, by the minute.
func (s *Server) journal(w http.ResponseWriter, r *http.Request) error {
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	id := r.PathValue("id")
	if err := s.mayAsk(principal, id, "id"); err != nil {
		return err
	}
	values, err := parameters(r.URL)
	if err != nil {
		return err
	}
	question, err := kpi.ParseJournalQuery(s.deps.Catalogue, id, values, kpi.Scope(principal.Scope), time.Now())
	if err != nil {
		return err
	}
	answer, err := s.deps.Evaluator.Journal(r.Context(), question)
	if err != nil {
		return err
	}
	content, err := encode(answer)
	if err != nil {
		return err
	}
	// The end of today's journal is now, where it was not asked for: an answer with the same entries is the same.
	validated := *answer
	if values.Get("to") == "" {
		validated.To = nil
	}
	entries, err := encode(validated)
	if err != nil {
		return err
	}
	if !fresh(w, r, etagOf([]byte(principal.Scope.String()), []byte(values.Encode()), entries)) {
		writeJSON(w, content)
	}
	return nil
}
