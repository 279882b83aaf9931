# make                  generate, lint, test
# make test             all tests; those that need more than Go say loudly when they are skipped
# make bench            every layer side by side, in two minutes
# make bench-transport  the request path beside bare Goa, compared by benchstat

GO      ?= go
MODULES := . examples/orders bench browsertests
LINT    := $(GO) tool -modfile=$(CURDIR)/tools.mod golangci-lint

.PHONY: all generate lint test bench bench-transport tidy

all: generate lint test

generate:
	$(GO) run ./cmd/aguada gen ./examples/orders
	$(GO) run ./cmd/aguada gen ./bench
	$(GO) test ./config -run Document -update

lint:
	@for m in $(MODULES); do (cd $$m && $(GO) vet ./... && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

test:
	@for m in $(MODULES); do (cd $$m && $(GO) test -race -timeout 15m ./...) || exit 1; done

bench:
	$(GO) -C bench run ./cmd/bench

bench-transport:
	$(GO) test -run '^$$' -bench BenchmarkRequest -benchmem -count 20 ./transport | tee bench.txt
	$(GO) tool -modfile=tools.mod benchstat -col /impl bench.txt

tidy:
	@for m in $(MODULES); do (cd $$m && $(GO) mod tidy) || exit 1; done
