# Every target works from a fresh clone with Go, npm, a JDK 17 and Maven.
# `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What goes to `go test`, for example TESTFLAGS='-v -run TestRestart'.
TESTFLAGS ?=
# What goes to `ioc demo`.
DEMOFLAGS ?=
# Inputs of each fuzz target. A number, not a time: when a time runs out Go may call a target failed that found nothing
# (golang/go#75804).
FUZZTIME ?= 40000x
BENCHTIME ?= 1s
# Events and rounds of bench-ingest.
BENCHEVENTS ?= 4000000
BENCHROUNDS ?= 5
# Events of bench-query, of a tenth as many dossiers.
QUERYEVENTS ?= 100000000

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The profile in cmd/ioc makes the program faster, and every package that it needs would be compiled once more for the tests.
plain := -pgo=off

engine := .engine/engine.stamp
kafka := .engine/kafka.stamp
web := .engine/web/web.stamp
# The tree but for folders that Go ignores too.
go_files = find . -name '.?*' -prune -o -name '*.go' -print

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

.PHONY: build
build: ## build bin/ioc
	CGO_ENABLED=0 go build -trimpath -o bin/ioc ./cmd/ioc

.PHONY: demo
demo: build engine ## run everything in one process, on http://localhost:8080
	./bin/ioc demo $(DEMOFLAGS)

.PHONY: test
test: engine web-tools ## run the tests
	go test $(plain) -timeout 50m $(TESTFLAGS) ./...

.PHONY: race
race: engine web-tools ## run the tests with the race detector; -short lowers iteration counts and leaves out what has one goroutine
	CGO_ENABLED=1 go test $(plain) -race -short -timeout 35m $(TESTFLAGS) ./...

.PHONY: test-kafka
test-kafka: engine $(kafka) ## run the tests named RealKafka against Apache Kafka
	TEST_KAFKA_HOME='$(CURDIR)/.engine/kafka' go test $(plain) -run RealKafka -count=1 $(TESTFLAGS) ./...

.PHONY: test-rules
test-rules: ## check the alert rules and run their tests with promtool
	CI=true go test $(plain) -count=1 $(TESTFLAGS) ./deploy/prometheus

.PHONY: web
web: ## build the wall's page into dashboards/web/dist
	go generate ./dashboards

.PHONY: web-check
web-check: web-tools ## check the types of the wall's page
	.engine/web/node_modules/.bin/tsc -p dashboards/web

.PHONY: bench
bench: engine ## run the benchmarks; BENCHTIME=1x for a smoke test
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(TESTFLAGS) ./...

.PHONY: bench-ingest
bench-ingest: engine $(kafka) ## compare ingestion with ClickHouse's Kafka engine, on the embedded broker and on Apache Kafka
	TEST_KAFKA_HOME='$(CURDIR)/.engine/kafka' TEST_BENCH_EVENTS=$(BENCHEVENTS) TEST_BENCH_ROUNDS=$(BENCHROUNDS) \
		go test -run '^$$' -bench 'BenchmarkIngest$$' -benchtime 1x -timeout 3h $(TESTFLAGS) ./cmd/ioc

.PHONY: bench-query
bench-query: engine ## measure KPIs over a year of QUERYEVENTS events: single ones, boards, and how fresh dossiers are
	TEST_BENCH_EVENTS=$(QUERYEVENTS) TEST_BENCH_QUESTIONS=100 TEST_BENCH_SECONDS=60 \
		go test -run '^$$' -bench 'BenchmarkQuery$$' -benchtime 1x -timeout 6h $(TESTFLAGS) ./cmd/ioc

.PHONY: fuzz-smoke
fuzz-smoke: engine ## run each fuzz target on FUZZTIME inputs
	@go test $(plain) -list '^Fuzz' -json ./... \
		| sed -nE 's/.*"Package":"([^"]+)","Output":"(Fuzz[A-Za-z0-9_]*)\\n".*/\1 \2/p' \
		| while read -r package target; do \
			echo "fuzz $$package $$target"; \
			go test $(plain) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
		done

.PHONY: lint
lint: ## check formatting, go vet and golangci-lint
	@unformatted=$$($(go_files) | xargs -r gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(GOLANGCI) run ./...

.PHONY: engine
engine: $(engine) ## fetch the ClickHouse engine library into .engine

$(engine): deploy/engine/package.json deploy/engine/package-lock.json deploy/engine/.npmrc
	mkdir -p .engine
	cp $^ .engine/
	cd .engine && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

.PHONY: web-tools
web-tools: $(web) ## fetch TypeScript and axe-core, which check the wall's page, into .engine/web

$(web): testdata/web/package.json testdata/web/package-lock.json testdata/web/.npmrc
	mkdir -p .engine/web
	cp $^ .engine/web/
	cd .engine/web && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

# -C refuses what does not match the repository's checksums; SHA256SUMS pins them.
$(kafka): testdata/kafka/pom.xml testdata/kafka/SHA256SUMS
	rm -rf .engine/kafka
	mvn -q -B -C -f testdata/kafka/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory='$(CURDIR)/.engine/kafka/libs'
	cd .engine/kafka/libs && sha256sum --quiet --strict -c '$(CURDIR)/testdata/kafka/SHA256SUMS'
	touch $@

.PHONY: clean
clean: ## remove what was built and fetched
	rm -rf bin .engine
