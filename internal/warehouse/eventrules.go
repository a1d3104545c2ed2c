package warehouse

import (
	"encoding/binary"
	"errors"

	"ioc.local/internal/dossier"
	"ioc.local/internal/reference"
)

// The codes of columns of dossier_events that facts are judged by.
const (
	saidNo, saidYes                     = 1, 2 // has_file, reused, from_national_store, vneid_authenticated, sync_on_time
	componentDocument, resultDocument   = 1, 2 // doc_kind
	paymentPaid, paymentRefunded        = 2, 3 // payment_state
	nationalGateway, departmentsGateway = 1, 2 // paid_online
)

// eventRules reads the column rules_input of dossier_events (migration 0024): numbers in their bytes, lowest first, and texts
// each behind its length.
type eventRules struct {
	rest  string
	short bool // It ended too early.
}

func (r *eventRules) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.rest, r.short = "", true
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *eventRules) number(size int) uint64 {
	var bytes [8]byte
	copy(bytes[:], r.take(size))
	return binary.LittleEndian.Uint64(bytes[:])
}

func (r *eventRules) code() int8 { return int8(r.number(1)) }

func (r *eventRules) text() string {
	var length uint64
	for shift := 0; ; shift += 7 {
		b := r.number(1)
		length |= b & 0x7f << shift
		if b < 0x80 {
			return r.take(int(length))
		}
	}
}

var errRulesInput = errors.New("the column rules_input of dossier_events has another form than migration 0024 gave it")

// read sets what the rules read of the event.
func (r *eventRules) read(e *dossier.Event) error {
	e.At, e.DueAt = int64(r.number(8)), int64(r.number(8))
	fees, amount := int64(r.number(8)), int64(r.number(8))
	e.Limit, e.Status, e.LimitUnit = uint16(r.number(2)), uint8(r.number(1)), dossier.LimitUnit(r.code())
	e.Level, e.Channel, e.Portal, e.Form = r.code(), r.code(), r.code(), r.code()
	document, file, reused, store, vneid := r.code(), r.code(), r.code(), r.code(), r.code()
	payment, sync, gateway, likes := r.code(), r.code(), r.code(), r.code()
	e.Province, e.Province63, e.Agency, e.Service = r.text(), r.text(), r.text(), r.text()
	e.Procedure = reference.ProcedureOf(r.text())
	database := r.text()
	if r.short || r.rest != "" {
		return errRulesInput
	}
	component := document == componentDocument
	fee := fees
	if fee < 0 {
		fee = amount
	}
	e.Facts = 0
	for _, f := range []struct {
		fact dossier.Facts
		told bool
	}{
		{dossier.ComponentFile, component && file == saidYes},
		{dossier.ResultFile, document == resultDocument && file == saidYes},
		{dossier.ReusedComponent, component && reused == saidYes},
		{dossier.StoreComponent, component && store == saidYes},
		{dossier.PopulationData, vneid == saidYes || component && database == "popdb"},
		{dossier.Fee, payment != 0 && fee > 0},
		{dossier.PaidOnline, (payment == paymentPaid || payment == paymentRefunded) && (gateway == nationalGateway || gateway == departmentsGateway)},
		{dossier.SyncedOnTime, sync == saidYes},
		{dossier.SyncedLate, sync == saidNo},
		{dossier.Dislike, likes == -1},
		{dossier.Document, document != 0},
	} {
		if f.told {
			e.Facts |= f.fact
		}
	}
	return nil
}
