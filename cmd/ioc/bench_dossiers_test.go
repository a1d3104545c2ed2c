package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// knownDossier is a dossier that there is.
type knownDossier struct {
	registered        time.Time
	subject, province string
}

// dossierFreshness produces events of known dossiers at a rate until ctx ends, three of ten of the newest day, six of the last
// month and one of the year, and gives how long new dossiers took to be counted on the feed, in order.
func dossierFreshness(ctx context.Context, b *testing.B, demo *demoProcess, rate int) []time.Duration {
	b.Helper()
	kafka := newProducer(b, demo.addresses["Kafka"])
	groups := knownDossiers(b, demo)
	produced := make(chan struct{})
	run := fmt.Sprintf("%d-%d", rate, time.Now().UnixNano())
	go func() {
		defer close(produced)
		produceSteps(ctx, b, kafka, groups, rate, run)
	}()
	took := measureMarkers(ctx, b, kafka, demo, "dossiers_received", func(n int, at time.Time) produce.Message {
		subject := fmt.Sprintf("marker-%s-%d", run, n)
		return dossierStep(subject, markerPlace, at.In(reference.TimeZone()), at, 2, subject)
	})
	<-produced
	slices.Sort(took)
	return took
}

// dossierStep is a status step of a dossier.
func dossierStep(subject, province string, registered, at time.Time, status int, id string) produce.Message {
	event := fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/npsp/H26","type":"vn.da06.dossier.status.v1","time":"%s","subject":"%s","data":{"province_code":"%s","admin_scheme":"gso34","agency_code":"H26.12","service_id":"DA06-03","registered_on":"%s","status":%d,"channel":2}}`,
		id, at.In(reference.TimeZone()).Format(timeLayout), subject, province, registered.Format(time.DateOnly), status)
	return produce.Message{Topic: produce.TopicDossier, Key: []byte(subject), Value: []byte(event)}
}

// knownDossiers are some dossiers of the newest day, of the last month, and of the year.
func knownDossiers(b *testing.B, demo *demoProcess) [3][]knownDossier {
	b.Helper()
	client := demo.clickhouse(b)
	defer func() { _ = client.Close() }()
	var groups [3][]knownDossier
	for i, days := range []int{1, 30, 365} {
		rows, err := client.Conn().Query(b.Context(), fmt.Sprintf(`SELECT registered_on, subject, toString(province) FROM dossier_state
			WHERE registered_on > (SELECT max(registered_on) FROM dossier_state WHERE province NOT IN ('', '%[2]s')) - %[1]d AND province NOT IN ('', '%[2]s')
			ORDER BY cityHash64(subject) LIMIT 20000`, days, markerPlace))
		if err != nil {
			b.Fatal(err)
		}
		err = warehouse.Each(rows, func() error {
			var d knownDossier
			err := rows.Scan(&d.registered, &d.subject, &d.province)
			groups[i] = append(groups[i], d)
			return err
		})
		if err != nil || len(groups[i]) == 0 {
			b.Fatalf("%d dossiers of %d days: %v", len(groups[i]), days, err)
		}
	}
	return groups
}

// produceSteps produces steps of dossiers at a rate until ctx ends.
func produceSteps(ctx context.Context, b *testing.B, kafka *produce.Kafka, groups [3][]knownDossier, rate int, run string) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	started, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var messages []produce.Message
		for due := int(time.Since(started).Seconds() * float64(rate)); sent < due; sent++ {
			group := groups[[...]int{0, 0, 0, 1, 1, 1, 1, 1, 1, 2}[sent%10]]
			d := group[rand.IntN(len(group))]
			messages = append(messages, dossierStep(d.subject, d.province, d.registered, time.Now(), 4, fmt.Sprintf("step-%s-%d", run, sent)))
		}
		if err := kafka.Write(context.WithoutCancel(ctx), messages); err != nil {
			b.Errorf("producing steps: %v", err)
			return
		}
	}
}
