package kpi

import "maps"

const (
	levelCodes = "level"
	listCodes  = "list"
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
	place := map[string]string{"province": "province"}
	eid := with(place, "type", "type", "action", "account_action", "eid_level", "eid_level", "kind", "document_kind", "document_action", "document_action")
	query := with(place, "query_kind", "query_kind", "outcome", "outcome")
	return append([]*source{
		{
			name: "dossier_days", form: rollup, family: "dossier_events", coverage: "provinces",
			tables:   []table{{name: "dossier_days", time: "day", grain: day, columns: with(dossier, "channel", "channel", "portal", "portal")}},
			measures: map[string]measure{"dossiers": {sql: "n"}},
			codes: map[string][]string{
				"channel": {"unknown", "direct", "online", "postal"},
				"portal":  {"unknown", "npsp", "vneid", "ministry", "province", "counter"},
			},
		},
		{
			name: "dossier_deadlines", form: rollup, family: "dossier_events", coverage: "provinces",
			tables:   []table{{name: "dossier_deadlines", time: "day", grain: day, columns: dossier}},
			measures: map[string]measure{"with_due_time": {sql: "n"}, "on_time": {sql: "n", deadline: true}},
		},
		{
			name: "dossier_savings", form: rollup, family: "dossier_events", coverage: "provinces", coefficients: true,
			tables:   []table{{name: "dossier_savings", time: "day", grain: day, columns: dossier}},
			measures: map[string]measure{"dossiers": {sql: "n"}, "saving_vnd": {sql: "n * coefficient"}},
		},
		{
			name: "auth_attempts", form: rollup, family: "auth_attempts", coverage: "provinces",
			tables: []table{
				{name: "auth_days", time: "day", grain: day,
					columns: with(dossier, "outcome", "outcome", "relying_party", "relying_party", "assurance_level", "assurance_level")},
				{name: "auth_minutes", time: "minute", grain: minute, keepMonths: 13, columns: with(dossier, "outcome", "outcome")},
			},
			measures: map[string]measure{"attempts": {sql: "toInt64(n)"}},
			codes: map[string][]string{
				"outcome": {"none", "success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled", "timeout", "system_error"},
			},
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
		{name: "source_activity", form: activity, dimensions: []string{"province", "source"}, coverage: "sources"},
	}, registers()...)
}

// registers are the sources that are read from register_events. Their positions count the events of the type, and voids.
func registers() []*source {
	return []*source{
		{
			name: "service_catalogue", form: registry, family: "register_events:service.catalog", coverage: "provinces",
			dimensions: []string{"province", "service", listCodes, levelCodes},
			measures:   map[string]measure{"services": {}},
			register: &register{
				eventType: "service.catalog", item: "if(service_id != '', toString(service_id), toString(procedure_code))", rank: "toInt64(0)",
				columns: map[string]string{
					"service": "toString(service_id)", listCodes: "toString(list)", levelCodes: "toString(level)",
				},
				states: []string{levelCodes}, byPlace: true,
			},
			codes: map[string][]string{listCodes: {"E25", "E53", "E76"}, levelCodes: {"unknown", "full", "partial", "info", "none"}},
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
			name: "data_quality", form: quality, family: "register_events:data.quality", coverage: "provinces",
			dimensions: []string{"province", "database", "criterion", "field"},
			measures:   map[string]measure{"passing": {}, "evaluated": {}},
			codes:      map[string][]string{"criterion": {"none", "dung", "du", "sach", "song", "thong_nhat"}},
		},
	}
}
