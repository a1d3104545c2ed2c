package query

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"

	"ioc.local/internal/access"
)

//go:embed openapi.yaml
var openAPI []byte

// route is an endpoint of this package: who may use it, and what it does.
type route struct {
	pattern string
	least   access.Role
	handler handler
}

// routes are all endpoints of this package with the role that each needs at least. What a principal sees there is
// decided by the scope, in kpi.Query.Scope.
func (s *Server) routes() ([]route, error) {
	catalogue, err := s.catalogueHandler()
	if err != nil {
		return nil, err
	}
	return append([]route{
		{"GET /{$}", access.Anyone, s.index},
		{"GET /openapi.yaml", access.Anyone, text("application/yaml", openAPI)},
		{"GET /api/v1/me", access.Screen, s.me},
		{"GET /api/v1/kpis", access.Screen, catalogue},
		{"GET /api/v1/kpis/{id}", access.Screen, s.answer},          // a screen only those of its boards
		{"GET /api/v1/kpis/{id}/journal", access.Screen, s.journal}, // the same
		{"POST /api/v1/kpis/query", access.Screen, s.answers},       // the same
		{"GET /api/v1/reference/provinces", access.Screen, s.provinces},
		{"GET /api/v1/reference/services", access.Screen, s.services},
		{"GET /api/v1/reference/agencies", access.Screen, s.agencies},
		{"GET /api/v1/feeds", access.Viewer, s.feeds},
	}, s.letterRoutes()...), nil
}

// route sets up who answers what. A mounted route may take the place of one of this package.
func (s *Server) route() error {
	own, err := s.routes()
	if err != nil {
		return err
	}
	for _, r := range own {
		if _, mounted := s.deps.Routes[r.pattern]; !mounted {
			s.mux.Handle(r.pattern, s.bounded(r.handler))
			s.least[r.pattern] = r.least
		}
	}
	for pattern, r := range s.deps.Routes {
		if !r.Least.Known() {
			return fmt.Errorf("query: the route %s does not say which role it needs at least", pattern)
		}
		s.mux.Handle(pattern, r.Handler)
		s.least[pattern] = r.Least
	}
	for pattern := range s.least {
		s.faces = append(s.faces, pattern)
	}
	slices.Sort(s.faces)
	return nil
}

// text answers with a file that is part of the program.
func text(contentType string, content []byte) handler {
	etag := etagOf(content)
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := only(r.URL, nil); err != nil {
			return err
		}
		if !fresh(w, r, etag) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(content) // the client may be gone
		}
		return nil
	}
}
