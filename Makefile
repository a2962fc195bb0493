# `make` prints the targets. Nothing here needs Docker, Node or root.

GO      ?= go
# Long enough for the slowest package with the real Postfix and BIND on two cores; a hang still ends.
TIMEOUT ?= 15m
FUZZTIME ?= 20s
# Which packages test, race and bench look at: make test PKG=./dkim/...
PKG     ?= ./...
# Of the comparison with other tools: make bench PKG=./dkim BENCH_FLAGS="-markdown /tmp/tables.md -skip-domains"
BENCH_FLAGS ?=

# The tests that run cases of other projects and log a line "corpus: …" for each source.
CORPORA := Conformance|Corpora|Suite|Vectors|Reproduced|RandomInterop|OfOthers

# A commit in the binary's build info where git lets us read it, and no failure where it does not.
VCS := $(shell git status --short >/dev/null 2>&1 && echo true || echo false)

.DEFAULT_GOAL := help
.PHONY: help demo build check fmt vet staticcheck archtest depscheck test corpora integration race fuzz bench deps

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## run a whole fleet in one process on loopback, until interrupted
	bin/postseal demo

build: ## the static binary, bin/postseal
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(VCS) -o bin/postseal ./cmd/postseal

check: fmt vet staticcheck archtest depscheck ## everything that reads the code without running it

fmt:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

archtest: ## only the rules of docs/architecture.md: who may import whom
	$(GO) test ./internal/archtest

depscheck:
	tools/deps check

test: ## all tests; those that need a missing Debian program say so and are skipped
	$(GO) test -timeout $(TIMEOUT) $(PKG)
	@$(MAKE) --no-print-directory corpora

# A passing test prints nothing without -v, so those that run cases of other projects run once more for their counts.
corpora: ## how many cases of other projects ran, by source, and whether all agree
	@echo "cases of other projects:"
	@out=$$($(GO) test -count=1 -v -timeout $(TIMEOUT) -run '$(CORPORA)' ./dkim ./dmarc ./internal/audit ./internal/agent ./internal/mailauth ./internal/report 2>&1); status=$$?; \
	echo "$$out" | sed -n 's/^.*: corpus: /  /p'; \
	if [ $$status = 0 ]; then echo "  all agree, but for the differences that are stated"; else echo "$$out" | grep -E '^ *(---|[a-z_]+.go:)' ; exit $$status; fi

integration: ## all tests; a missing Debian program is a failure (.ci/run installs them)
	POSTSEAL_REQUIRE_INTEGRATION=1 $(GO) test -timeout $(TIMEOUT) $(PKG)

race: ## all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout $(TIMEOUT) $(PKG)

fuzz: ## every fuzz target for FUZZTIME (20s), one per processor at a time
	tools/fuzz $(FUZZTIME)

bench: ## every benchmark, with allocations; then the comparison with other tools (docs/benchmarks.md)
	$(GO) test -run '^$$' -bench . -benchmem -timeout $(TIMEOUT) $(PKG)
	cd bench && $(GO) run -mod=mod . $(BENCH_FLAGS)

deps: ## write docs/deps.txt and docs/deps-agent.txt anew; look at the difference before you commit it
	tools/deps write
