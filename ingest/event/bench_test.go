package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// plainDossier is a dossier event as a Go program that knows nothing of this package would read it.
type plainDossier struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	Subject     string    `json:"subject"`
	Data        struct {
		ProvinceCode       string    `json:"province_code"`
		AdminScheme        string    `json:"admin_scheme"`
		AgencyCode         string    `json:"agency_code"`
		AgencyLevel        string    `json:"agency_level"`
		CommuneCode        string    `json:"commune_code"`
		ServiceID          string    `json:"service_id"`
		ProcedureCode      string    `json:"procedure_code"`
		ServiceLevel       string    `json:"service_level"`
		SubjectType        string    `json:"subject_type"`
		SubjectPID         string    `json:"subject_pid"`
		RegisteredOn       string    `json:"registered_on"`
		Status             int       `json:"status"`
		Channel            int       `json:"channel"`
		Portal             string    `json:"portal"`
		DueAt              time.Time `json:"due_at"`
		StatutoryLimit     int       `json:"statutory_limit"`
		LimitUnit          string    `json:"limit_unit"`
		SupplementNo       int       `json:"supplement_no"`
		VNeIDAuthenticated bool      `json:"vneid_authenticated"`
		ResultForm         string    `json:"result_form"`
	} `json:"data"`
}

// The three sizes of event that the decoder is judged by.
func benchmarkRecords(tb testing.TB) map[string]*Record {
	small := compact(tb, example(tb, "auth.attempt.json"))
	full := compact(tb, example(tb, "dossier.status.json"))
	return map[string]*Record{
		"auth":             {Value: small},
		"dossier":          {Value: full},
		"dossier-binary":   binaryOf(tb, full),
		"dossier-indented": {Value: example(tb, "dossier.status.json")},
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, rec := range benchmarkRecords(b) {
		b.Run(name, func(b *testing.B) {
			d, batch := newTestDecoder(b), NewBatch()
			batch.Reset("ioc.dossier.v1", 0, testClock)
			b.SetBytes(int64(len(rec.Value)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%100_000 == 0 {
					batch.Reset("ioc.dossier.v1", 0, testClock)
				}
				if d.Decode(batch, rec, nil) != Accepted {
					b.Fatal(batch.Rejections())
				}
			}
		})
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	value := compact(b, example(b, "dossier.status.json"))
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		var e plainDossier
		if err := json.Unmarshal(value, &e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFeeds is what the quality of the feeds takes for each row of a range, at its end.
func BenchmarkFeeds(b *testing.B) {
	const rows = 100_000
	d, batch := newTestDecoder(b), newTestBatch()
	plain := string(compact(b, example(b, "auth.attempt.json")))
	places := []string{"01", "79", "48", "31", "92", "04", "08", "11", "12", "14"}
	for i := range rows {
		value := strings.Replace(plain, `"province_code":"79"`, `"province_code":"`+places[i%len(places)]+`"`, 1)
		at := time.UnixMilli(testClock - int64(i*i%3_000_000)).UTC().Format(time.RFC3339Nano)
		mustAccept(b, d, batch, &Record{Offset: int64(i), Value: []byte(strings.Replace(value, "2026-11-21T10:00:01.123+07:00", at, 1))})
	}
	for b.Loop() {
		batch.summed = -1
		batch.sumFeeds()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	b.ReportMetric(float64(batch.feed.rows), "rows")
}
