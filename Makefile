# make                  generate, lint, test
# make ui               the pages of the console, by esbuild
# make tools            what tests use beside Go: grpcurl, ghz, telemetrygen, protoc (the one inside aguada), into .tools/
# make test             all tests; those that need more than Go say loudly when they are skipped
# make bench            every layer side by side, in two minutes
# make prove            attack the reference service from its contract
# make mutate           take one defence away after the other: its attack has to succeed, and the prover to find it
# make fuzz             every fuzz target for FUZZTIME, one after another (FUZZ=./auth/... for some)
# make bench-transport  the request path beside bare Goa, compared by benchstat

GO      ?= go
MODULES := . examples/orders examples/page bench browsertests
LINT    := $(GO) tool -modfile=$(CURDIR)/tools.mod golangci-lint

# Tests that measure memory, and long simulations, skip themselves under the race detector: again without.
MEASURED := ./auth/basic ./auth/lockout ./console/store ./limit ./limit/adaptive ./transport

# Foreign clients, each of one version; they stay out of every go.mod.
TOOLS := $(CURDIR)/.tools
FOREIGN := github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 github.com/bojand/ghz/cmd/ghz@v0.121.0 \
	github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0
export PATH := $(TOOLS):$(PATH)

.PHONY: all generate ui lint test tools bench bench-transport prove fuzz mutate tidy

all: generate lint test

generate: ui
	cd console && $(GO) run goa.design/goa/v3/cmd/goa gen github.com/aguada-dev/aguada/console/design >/dev/null
	$(GO) run ./cmd/aguada gen ./examples/orders
	$(GO) run ./cmd/aguada gen ./bench
	cd examples/page && $(GO) tool goa gen github.com/aguada-dev/aguada/examples/page/design >/dev/null
	$(GO) test ./config ./prove -run Document -update
	$(GO) -C examples/orders test ./proved -run Document -update
	$(GO) -C examples/page test ./proved -run Document -update

# The pages of the console, from console/ui into console/static.
ui:
	rm -f console/static/*.js console/static/*.css
	$(GO) tool -modfile=tools.mod esbuild console/ui/main.tsx console/ui/main.css --bundle --splitting --format=esm --minify --target=es2022 \
		--outdir=console/static --entry-names='[name]' --chunk-names='[name]-[hash]' --tsconfig=console/ui/tsconfig.json --legal-comments=none --log-level=warning \
		--alias:uplot=./console/ui/vendor/uplot/uPlot.esm.js --alias:preact=./console/ui/vendor/preact/dist/preact.mjs \
		--alias:preact/hooks=./console/ui/vendor/preact/hooks/dist/hooks.mjs --alias:preact/jsx-runtime=./console/ui/vendor/preact/jsx-runtime/dist/jsxRuntime.mjs
	cp console/ui/index.html console/ui/favicon.svg console/static/
	cat console/ui/vendor/*/LICENSE > console/static/licenses.txt

tools:
	@for p in $(FOREIGN); do echo $$p && GOBIN=$(TOOLS) GOFLAGS= $(GO) install $$p || exit 1; done
	$(GO) build -buildvcs=false -o $(TOOLS)/protoc ./cmd/aguada

lint:
	@for m in $(MODULES); do (cd $$m && $(GO) vet ./... && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

# The last three modules mostly wait: side by side.
test:
	@for m in . examples/orders; do (cd $$m && $(GO) test -race -timeout 15m ./...) || exit 1; done
	@all=; for m in examples/page bench browsertests; do (cd $$m && $(GO) test -race -timeout 15m ./...) & all="$$all $$!"; done; \
		for p in $$all; do wait $$p || exit 1; done
	$(GO) test $(MEASURED)
	$(GO) -C examples/orders test -count 1 ./proved

bench:
	$(GO) -C bench run ./cmd/bench

bench-transport:
	$(GO) test -run '^$$' -bench BenchmarkRequest -benchmem -count 20 ./transport | tee bench.txt
	$(GO) tool -modfile=tools.mod benchstat -col /impl bench.txt

prove:
	$(GO) run ./cmd/aguada prove ./examples/orders

# Mutations are overlays of the build: nothing in the tree changes.
mutate:
	$(GO) -C examples/orders test -count 1 -run TestMutationsApply ./security
	AGUADA_MUTATE=1 $(GO) -C examples/orders test -count 1 -run 'TestMutations$$' -v -timeout 60m ./security
	AGUADA_MUTATE=1 $(GO) -C examples/orders test -count 1 -run 'Mutants$$' -v -timeout 120m ./proved

FUZZTIME ?= 60s
FUZZ     ?= ./...

fuzz:
	@for m in $(MODULES); do (cd $$m && all=$$($(GO) test -list '^Fuzz' $(FUZZ)) && echo "$$all" | \
		awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, names[i]; n = 0 }' | \
		while read -r package target; do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
		done) || exit 1; done

tidy:
	@for m in $(MODULES); do (cd $$m && $(GO) mod tidy) || exit 1; done
