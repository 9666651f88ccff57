# make            lists the targets
# make run        builds and starts a whole fleet on this machine; Ctrl-C stops it

.DEFAULT_GOAL := help
.PHONY: help build run test test-long lint bench wrk clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/scanedge
	go build -o bin/scanedge ./cmd/scanedge

run: build ## build and start an origin and two edges with a demo population; data in ./var
	@bin/scanedge up --dir var

test: ## run every test with the race detector
	go test -race -timeout 10m ./...

test-long: ## the long forms of the tests: more kills
	go test -race -timeout 60m ./cmd/e2e -run TestKillsLoseNothingAcknowledged -kills 100 -v

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go tool staticcheck ./...

bench: build ## play a launch day against a fleet of its own; report in var/bench
	bin/scanedge bench day --out var/bench

wrk: build ## one edge beside bare fasthttp, by wrk (a Debian package), interleaved
	bench/wrk.sh

clean: ## remove what the others made
	rm -rf bin var
