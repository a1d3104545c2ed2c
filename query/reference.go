package query

import (
	"net/http"
	"time"

	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
)

type provinceEntry struct {
	Code       string             `json:"code"`
	Name       kpi.Text           `json:"name"`
	UnitType   reference.UnitType `json:"unit_type"`
	ISO        string             `json:"iso,omitempty"`
	Code34     string             `json:"code_gso34,omitempty"`
	MergedFrom []string           `json:"merged_from,omitempty"`
	AreaKM2    int                `json:"area_km2,omitempty"`
}

// provinces lists the provinces of a scheme: gso34, or gso63 when asked for.
func (s *Server) provinces(w http.ResponseWriter, r *http.Request) error {
	scheme := kpi.SchemeGSO34
	if err := only(r.URL, map[string]*string{"scheme": &scheme}); err != nil {
		return err
	}
	entries := []provinceEntry{}
	switch scheme {
	case kpi.SchemeGSO34:
		now := time.Now()
		for _, p := range s.deps.Reference.Provinces34() {
			entries = append(entries, provinceEntry{
				Code: p.Code, Name: kpi.Text{VI: p.NameVI, EN: p.NameEN}, UnitType: p.UnitTypeOn(now), MergedFrom: p.MergedFrom, AreaKM2: p.AreaKM2,
			})
		}
	case kpi.SchemeGSO63:
		for _, p := range s.deps.Reference.Provinces63() {
			entries = append(entries, provinceEntry{
				Code: p.Code, Name: kpi.Text{VI: p.NameVI, EN: p.NameEN}, UnitType: p.UnitType, ISO: p.ISO, Code34: p.Code34,
			})
		}
	default:
		return badParameter("scheme", "must be gso34 or gso63")
	}
	return document(w, r, map[string]any{"scheme": scheme, "provinces": entries})
}

type serviceEntry struct {
	ID         string   `json:"id"`
	Slug       string   `json:"slug"`
	Name       kpi.Text `json:"name"`
	Ministry   string   `json:"ministry_vi"`
	Group      string   `json:"group"`
	AtCommune  bool     `json:"at_commune"`
	Procedures []string `json:"procedures"`
}

// services lists the essential services.
func (s *Server) services(w http.ResponseWriter, r *http.Request) error {
	if err := only(r.URL, nil); err != nil {
		return err
	}
	entries := []serviceEntry{}
	for _, service := range s.deps.Reference.Services() {
		entries = append(entries, serviceEntry{
			ID: service.ID, Slug: service.Slug, Name: kpi.Text{VI: service.NameVI, EN: service.NameEN}, Ministry: service.Ministry2025,
			Group: service.Group, AtCommune: service.AtCommune, Procedures: append([]string{}, service.Procedures...),
		})
	}
	return document(w, r, map[string]any{"services": entries})
}

type agencyEntry struct {
	Code   string   `json:"code"`
	Name   kpi.Text `json:"name"`
	Status string   `json:"status"`
}

// agencies lists the central agencies.
func (s *Server) agencies(w http.ResponseWriter, r *http.Request) error {
	if err := only(r.URL, nil); err != nil {
		return err
	}
	entries := []agencyEntry{}
	for _, a := range s.deps.Reference.Agencies() {
		entries = append(entries, agencyEntry{Code: a.Code, Name: kpi.Text{VI: a.NameVI, EN: a.NameEN}, Status: a.Status})
	}
	return document(w, r, map[string]any{"agencies": entries})
}
