package kpi

import (
	"maps"
	"sync/atomic"
)

const (
	levelCodes     = "level"
	listCodes      = "list"
	eligibleCodes  = "full_eligible"
	feeCodes       = "fee"
	procedureCodes = "procedure"

	// procedureSQL is the code of a procedure without what systems add to it (1.004222.000.00.00.H29).
	procedureSQL = "if(match(procedure_code, '^[123][.][0-9]{6}[.]'), substring(procedure_code, 1, 8), toString(procedure_code))"
)

// sources are all named sources. It is a function, as nothing may change it.
func sources() []*source {
	dossier := map[string]string{"province": "province", "service": "service_id"}
	with := func(columns map[string]string, more ...string) map[string]string {
		columns = maps.Clone(columns)
		for i := 0; i < len(more); i += 2 {
			columns[more[i]] = more[i+1]
		}
		return columns
	}
	cohort := with(dossier, "channel", "channel", "portal", "portal", procedureCodes, "procedure_code", "level", "service_level", eligibleCodes, eligibleSQL)
	place := map[string]string{"province": "province"}
	eid := with(place, "type", "type", "action", "account_action", "eid_level", "toString(eid_level)", "kind", "document_kind", "document_action", "document_action")
	query := with(place, "query_kind", "query_kind", "outcome", "outcome")
	return append([]*source{
		{
			name: "dossier_days", form: rollup, family: "dossier_events", coverage: "provinces",
			tables: []table{
				{name: "dossier_province_days", time: "day", grain: day, now: true, narrow: true, columns: with(place, "channel", "channel")},
				{name: "dossier_service_days", time: "day", grain: day, now: true, narrow: true, key: "service", whole: new(atomic.Bool), columns: with(dossier, "channel", "channel", "portal", "portal")},
				{name: "dossier_days", time: "day", grain: day, now: true, columns: cohort},
				{name: "dossier_history", time: "day", grain: day, seen: "seen", columns: with(cohort, "agency", "agency_code")},
			},
			measures: map[string]measure{
				"dossiers":     {sql: "n"},
				"completed":    {sql: "completed", follows: true},
				"supplemented": {sql: "supplemented", follows: true},
				"handled":      {sql: "handled", follows: true},
				"working_days": {sql: "working_days", follows: true},
				"with_fee":     {sql: "with_fee", follows: true},
				"paid_online":  {sql: "paid_online", follows: true},
				"written":      {sql: "written", follows: true},
				"e_result":     {sql: "e_result", follows: true},
				"digitised":    {sql: "digitised", follows: true},
				"reused":       {sql: "reused", follows: true},
				"from_store":   {sql: "from_store", follows: true},
				"population":   {sql: "population", follows: true},
				"with_result":  {sql: "with_result", follows: true},
				"synced":       {sql: "synced", follows: true},
				"sync_told":    {sql: "sync_told", follows: true, events: "dossier.sync"},
				"documented":   {sql: "documented", follows: true, events: "dossier.document"},
				// Population data may be told without documents.
				"population_told": {sql: "population + documented", follows: true, events: "dossier.document"},
			},
			codes: map[string][]string{
				"channel": {"unknown", "direct", "online", "postal"},
				"portal":  {"unknown", "npsp", "vneid", "ministry", "province", "counter"},
				"level":   {"unknown", "full", "partial", "info", "none"}, eligibleCodes: {"no", "yes"},
			},
		},
		{
			name: "dossier_deadlines", form: rollup, family: "dossier_events", coverage: "provinces",
			tables: []table{
				{name: "dossier_province_deadlines", time: "day", grain: day, now: true, narrow: true, columns: place},
				{name: "dossier_deadlines", time: "day", grain: day, columns: dossier},
				{name: "dossier_agency_deadlines", time: "day", grain: day, columns: with(dossier, "agency", "agency_code", procedureCodes, "procedure_code")},
			},
			measures: map[string]measure{
				"with_due_time": {sql: "n"}, "on_time": {sql: "n", deadline: onTime}, "open_late": {sql: "n", deadline: openLate, until: "ended_on"},
				"on_time_not_disliked": {sql: "n", deadline: onTime, until: "disliked_on"},
			},
		},
		{
			name: "dossier_savings", form: rollup, family: "dossier_events", coverage: "provinces", coefficients: true,
			tables:   []table{{name: "dossier_savings", time: "day", grain: day, columns: dossier}},
			measures: map[string]measure{"dossiers": {sql: "n"}, "saving_vnd": {sql: "n", weighed: true}},
		},
		{
			name: "auth_attempts", form: rollup, family: "auth_attempts", coverage: "provinces",
			tables: []table{
				{name: "auth_days", time: "day", grain: day,
					columns: with(dossier, "outcome", "outcome", "relying_party", "relying_party", "assurance_level", "toString(assurance_level)")},
				{name: "auth_minutes", time: "minute", grain: minute, keepMonths: 13, columns: with(dossier, "outcome", "outcome")},
			},
			measures: map[string]measure{"attempts": {sql: "toInt64(n)"}},
			codes: map[string][]string{
				"outcome": {"none", "success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled", "timeout", "system_error"},
			},
		},
		{
			name: "auth_latency", form: rollup, family: "auth_attempts", coverage: "provinces", histogram: "latency",
			tables: []table{
				{name: "auth_latency_day_steps", time: "day", grain: day, columns: place},
				{name: "auth_latency_steps", time: "minute", grain: minute, keepMonths: 13, columns: place},
			},
			measures: map[string]measure{"attempts": {sql: "n"}},
		},
		{
			name: "eid", form: rollup, family: "eid_events", coverage: "provinces",
			tables: []table{
				{name: "eid_days", time: "day", grain: day, columns: eid},
				{name: "eid_minutes", time: "minute", grain: minute, keepMonths: 13, columns: eid},
			},
			measures: map[string]measure{
				"events": {sql: "n"},
				// Locking changes nothing.
				"accounts_in_use": {sql: "multiIf(account_action = 'activated', n, account_action = 'deactivated', -n, 0)"},
			},
			codes: map[string][]string{
				"type":            {"eid.account", "wallet.document"},
				"action":          {"none", "registered", "approved", "activated", "upgraded", "locked", "unlocked", "deactivated"},
				"eid_level":       {"0", "1", "2"},
				"kind":            {"none", "health_book", "driving_licence", "vehicle_registration", "insurance_card", "judicial_record", "other"},
				"document_action": {"none", "created", "integrated", "removed", "presented"},
			},
		},
		{
			name: "data_queries", form: rollup, family: "data_queries", coverage: "provinces",
			tables: []table{
				{name: "query_days", time: "day", grain: day, columns: with(query, "consumer_agency", "consumer_agency")},
				{name: "query_minutes", time: "minute", grain: minute, keepMonths: 13, columns: query},
			},
			measures: map[string]measure{"queries": {sql: "n"}},
			codes: map[string][]string{
				"query_kind": {"none", "lookup", "verify", "clean", "sync"},
				"outcome":    {"none", "ok", "not_found", "denied", "error", "timeout"},
			},
		},
		{name: "official_reports", form: reports, family: "register_events:counter.report", dimensions: []string{"province"}, coverage: "reports"},
		{name: formulaSource, form: composed, dimensions: []string{"province"}, coverage: "items"},
		{name: "source_activity", form: activity, dimensions: []string{"province", "source"}, coverage: "sources"},
	}, registers()...)
}

// registers are the sources that are read from register_events. Their positions count the events of the type, and voids.
func registers() []*source {
	return []*source{
		{
			name: "service_catalogue", form: registry, family: "register_events:service.catalog", coverage: "provinces",
			dimensions: []string{"province", "agency", "service", listCodes, levelCodes, eligibleCodes, feeCodes, usedOnlineCodes, feeSeenCodes, paidSeenCodes},
			measures:   map[string]measure{"services": {}},
			register: &register{
				eventType: "service.catalog", item: "if(service_id != '', toString(service_id), " + procedureSQL + ")", rank: "toInt64(0)",
				columns: map[string]string{
					"agency": "toString(agency_code)", "service": "toString(service_id)", listCodes: "toString(list)", levelCodes: "toString(level)",
					eligibleCodes: "toString(full_eligible)",
					feeCodes:      "multiIf(fee_offline_vnd > 0 OR fee_online_vnd > 0, 'yes', fee_offline_vnd = 0 OR fee_online_vnd = 0, 'no', 'unknown')",
				},
				states: []string{levelCodes, eligibleCodes, feeCodes}, byPlace: true, highest: levelCodes,
			},
			codes: map[string][]string{listCodes: {"E25", "E53", "E76"}, levelCodes: {"unknown", "full", "partial", "info", "none"}, eligibleCodes: {"unknown", "no", "yes"},
				feeCodes: {"unknown", "no", "yes"}, usedOnlineCodes: {"no", "yes"}, feeSeenCodes: {"no", "yes"}, paidSeenCodes: {"no", "yes"}},
		},
		{
			name: "tasks", form: registry, family: "register_events:task.status", coverage: "provinces",
			dimensions: []string{"province", "agency", "source_document", "status"},
			measures:   map[string]measure{"tasks": {}},
			register: &register{
				eventType: "task.status", item: "subject", rank: "toInt64(task_status)",
				columns: map[string]string{"agency": "toString(lead_agency)", "source_document": "source_document", "status": "toString(task_status)"},
				due:     "toUnixTimestamp64Milli(due_at)", states: []string{"status"}, byDue: true,
			},
			codes: map[string][]string{"status": {"none", "assigned", "in_progress", "completed", "completed_late", "overdue", "continuous"}},
		},
		{
			name: "capabilities", form: registry, family: "register_events:capability.status", coverage: "provinces",
			dimensions: []string{"province", "kind", "org_kind", "state"},
			measures:   map[string]measure{"organisations": {}, "provinces": {}, "all_provinces": {}},
			register: &register{
				eventType: "capability.status", item: "concat(toString(capability_kind), ' ', toString(org_id))", rank: "toInt64(capability_state)",
				columns: map[string]string{"kind": "toString(capability_kind)", "org_kind": "toString(org_kind)", "state": "toString(capability_state)"},
				states:  []string{"state"},
			},
			codes: map[string][]string{
				"kind":  {"none", "ioc", "platform", "popdb_connection", "data_centre"},
				"state": {"none", "planned", "building", "operating", "suspended", "closed"},
			},
		},
		{
			name: "petitions", form: petitioning, family: "register_events:petition.status", coverage: "provinces",
			dimensions: []string{"province", "agency", "class"},
			measures:   map[string]measure{"petitions": {}, "on_time": {}, "satisfied": {}},
			codes:      map[string][]string{"class": {"none", "regulation", "staff"}},
		},
		{
			name: "data_quality", form: quality, family: "register_events:data.quality", coverage: "provinces",
			dimensions: []string{"province", "database", "criterion", "field"},
			measures:   map[string]measure{"passing": {}, "evaluated": {}},
			codes:      map[string][]string{"criterion": {"none", "dung", "du", "sach", "song", "thong_nhat"}},
		},
	}
}
