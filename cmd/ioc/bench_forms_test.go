package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// BenchmarkKafkaEngine tries forms and options of ClickHouse's Kafka table engine, so that BenchmarkIngest compares with the
// best. It needs TEST_BENCH_EVENTS, since a few events say nothing; see docs/explanation/performance.md.
func BenchmarkKafkaEngine(b *testing.B) {
	if os.Getenv("TEST_BENCH_EVENTS") == "" {
		b.Skip("TEST_BENCH_EVENTS is not set")
	}
	t := newTrack(b, startBroker)
	rounds := envInt(b, "TEST_BENCH_ROUNDS", 1)
	forms := kafkaForms()
	results := map[string][]result{}
	for range b.N {
		for range rounds {
			for _, form := range forms {
				got := t.run(b, kafkaEngine(form))
				b.Logf("%s: %+v", form.name, got)
				results[form.name] = append(results[form.name], got)
			}
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n%d events, medians of %d rounds (%s):\n\n| | events/s, steady | CPU s/M | rows an insert |\n| --- | --- | --- | --- |\n", t.n, rounds, machine())
	for _, form := range forms {
		of := results[form.name]
		fmt.Fprintf(&text, "| %s | %.0f | %.2f | %.0f |\n", form.name, median(of, func(r result) float64 { return r.steady }), median(of, result.cpu),
			median(of, func(r result) float64 { return r.rows }))
	}
	fmt.Println(text.String())
}

// kafkaForms are the form that BenchmarkIngest takes, what each of its options gives, and other ways to read the event.
func kafkaForms() []kafkaForm {
	with := func(name string, changes map[string]string) kafkaForm {
		form := rawBlob(withSettings(tuned(), changes))
		form.name = name
		return form
	}
	extract := func(path, kind string) string {
		return "JSONExtract(raw, " + path + ", '" + strings.ReplaceAll(kind, "'", `\'`) + "')"
	}
	var each, paths []string
	for _, member := range members(attemptEvent) {
		name, kind, _ := strings.Cut(member, " ")
		if name != "data" {
			each = append(each, extract("'"+name+"'", kind))
			paths = append(paths, strings.ReplaceAll(member, "'", `\'`))
			continue
		}
		var data []string
		for _, member := range members(strings.TrimSuffix(strings.TrimPrefix(kind, "Tuple("), ")")) {
			name, kind, _ := strings.Cut(member, " ")
			data = append(data, extract("'data', '"+name+"'", kind))
			paths = append(paths, strings.ReplaceAll("data."+member, "'", `\'`))
		}
		each = append(each, "tuple("+strings.Join(data, ", ")+")")
	}
	several := "CAST(tuple(" + strings.Join(each, ", ") + "), 'Tuple(" + strings.ReplaceAll(attemptEvent, "'", `\'`) + ")')"
	usual := jsonEachRow(nil)
	usual.name = "JSONEachRow, all options at their defaults"
	texts := rawBlobAs("texts as String and not LowCardinality", "JSONExtract(raw, 'Tuple("+
		strings.ReplaceAll(strings.ReplaceAll(attemptEvent, "LowCardinality(String)", "String"), "'", `\'`)+")')", tuned())
	defaults := rawBlob(nil)
	defaults.name = "all options at their defaults"
	return []kafkaForm{
		with("as in BenchmarkIngest", nil),
		with("2 consumers", map[string]string{"kafka_num_consumers": "2"}),
		with("2 consumers, kafka_thread_per_consumer 0", map[string]string{"kafka_num_consumers": "2", "kafka_thread_per_consumer": "0"}),
		with("kafka_max_block_size 65,536", map[string]string{"kafka_max_block_size": "65536"}),
		with("kafka_max_block_size 131,072", map[string]string{"kafka_max_block_size": "131072"}),
		with("kafka_max_block_size 1,048,576", map[string]string{"kafka_max_block_size": "1048576"}),
		with("kafka_poll_max_batch_size at its default", map[string]string{"kafka_poll_max_batch_size": ""}),
		with("kafka_flush_interval_ms 2,000", map[string]string{"kafka_flush_interval_ms": "2000"}),
		defaults,
		texts,
		rawBlobAs("JSONExtract once for each member", several, tuned()),
		rawBlobAs("the type JSON with typed paths", "CAST(raw, 'JSON("+strings.Join(paths, ", ")+", SKIP specversion, SKIP datacontenttype)')", tuned()),
		jsonEachRow(tuned()),
		usual,
	}
}

// members splits a list of members of a tuple, each a name and a type.
func members(list string) []string {
	var found []string
	depth, from := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			found = append(found, strings.TrimSpace(list[from:i]))
			from = i + 1
		}
	}
	return append(found, strings.TrimSpace(list[from:]))
}
