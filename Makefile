# make            lists the targets
# make run        builds and starts a whole fleet on this machine; Ctrl-C stops it

.DEFAULT_GOAL := help
GOTESTSUM := go tool gotestsum $(GOTESTSUM_FLAGS)
.PHONY: help build run test test-js test-faults test-long fuzz lint deploy-check bench rhythm table scan clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/scanedge
	go build -o bin/scanedge ./cmd/scanedge

run: build ## build and start an origin and two edges with a demo population; data in ./var
	@bin/scanedge up --dir var

test: ## run every test but those of faults, with the race detector
	$(GOTESTSUM) --format pkgname-and-test-fails --packages ./... -- -race -timeout 20m -skip '^TestFault'

test-js: ## the JavaScript that makes codes, against the vectors that Go made; needs node
	node --test edge/passcode/js/passcode.test.mjs

test-faults: ## kills, cuts, frozen processes, full disks, flipped bits: real processes; Linux, as root
	$(GOTESTSUM) --format standard-verbose --packages ./cmd/e2e -- -race -timeout 20m -run '^TestFault'

test-long: ## the long forms of the tests: more kills, more cycles, ten minutes of readers under stress
	go test -race -timeout 60m ./cache -run TestReadersUnderStress -stress 5m -v
	go test -race -timeout 60m ./cmd/e2e -run 'TestFault(Kills|Snapshot|Propagation|ExternalCluster|TakeOver)' -kills 100 -restarts 20 -cycles 5m -pushes 500 -load -1 -v

FUZZTIME := 30s
fuzz: ## each fuzzer for 30 s (FUZZTIME): codes, request lines, batches, addresses; and how the load reads answers
	@set -e; for pkg in $$(go list ./edge/... ./bench/day); do \
	  listed=$$(go test -list '^Fuzz' $$pkg); \
	  for fuzzer in $$(echo "$$listed" | grep '^Fuzz'); do \
	    echo "== $$fuzzer of $$pkg"; go test $$pkg -run '^$$' -fuzz "^$$fuzzer$$" -fuzztime $(FUZZTIME); \
	  done; \
	done

lint: ## gofmt, vet (also for darwin, and the table for windows), staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./cache/... ./bench/micro/table
	go tool staticcheck ./...

deploy-check: ## units, alerts and dashboard, by their own tools (Debian: prometheus, systemd, jq)
	deploy/check.sh

bench: build ## play a launch day against a fleet of its own; report in var/bench
	bin/scanedge bench day --out var/bench

rhythm: build ## play a launch day's whole curve in a minute, at its true rates; report in var/rhythm
	bin/scanedge bench day --scenario launch-day --mode rhythm --duration 1m --out var/rhythm

table: build ## the status table beside its floor and its rivals, 20 million subjects, in 50 s
	@mkdir -p var && bin/scanedge table bench --dir var

scan: build ## the scan path beside bare fasthttp, nginx and Redis, 10 million subjects, in 4 minutes
	bin/scanedge bench scan --subjects 10000000

clean: ## remove what the others made
	rm -rf bin var
