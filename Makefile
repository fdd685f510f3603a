# The one list of commands; `make` alone prints it.
ENVOY_VERSION ?= 1.40.0

# A shell that has not seen rustup's profile yet still finds cargo.
export PATH := $(PATH):$(HOME)/.cargo/bin

target_dir := $(abspath $(or $(CARGO_TARGET_DIR),target))
module     := $(or $(ATTESTATION_FILTER_WASM),$(target_dir)/wasm32-wasip1/release/attestation_filter.wasm)
envoy      := $(or $(ENVOY),$(abspath .envoy/$(ENVOY_VERSION)/envoy))
native     := $(or $(ATTESTATION_NATIVE),$(target_dir)/release/libattestation.so)
run_envoy  := $(or $(RUN_ENVOY),$(target_dir)/debug/run-envoy)

# What the filter runs in: HOST=native make demo. The tests need the Wasm module in any case.
HOST    ?= wasm
modules := wasm $(if $(filter native,$(HOST)),native)
found   := HOST="$(HOST)" ENVOY="$(envoy)" ATTESTATION_FILTER_WASM="$(module)" ATTESTATION_NATIVE="$(native)"

# What `make test-matrix` runs the tests on.
versions := 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0

# The last Envoy that cannot sign; the tests have the module sign there.
version_without_sign := 1.36.4
envoy_without_sign   := $(or $(ENVOY_WITHOUT_SIGN),$(abspath .envoy/$(version_without_sign)/envoy))

# Each test is built with all packages, whichever of them it needs: with fewer, dependencies have other features and are
# built once more.
build-tests = cargo test --quiet --workspace --no-run
test-of     = cargo test --workspace
# Most of a test's time is waiting for Envoy.
threads     = $(shell echo $$((2 * $$(nproc))))
e2e         = RUST_TEST_THREADS=$(threads) $(test-of) --test e2e

say = printf '==> %s\n'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: $(shell sed -n 's/^\([a-z][a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

##@ Try it

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: prerequisites $(modules) cli envoy ## Show the filter at work on a real Envoy, in one go (HOST=native: the native module)
	@$(say) "demo: running it"
	@$(found) "$(target_dir)/tools/demo"

run: prerequisites $(modules) cli envoy ## The same, and leave it running to try things out
	@$(say) "run: running the demo until Ctrl-C"
	@$(found) "$(target_dir)/tools/demo" --stay

login: prerequisites wasm cli envoy ## A login in front, with a provider to log in at; until Ctrl-C (needs Node.js)
	@$(found) RUN_ENVOY="$(target_dir)/tools/run-envoy" envoy/login/run start

app: prerequisites wasm cli envoy ## An app behind that login: APP=django, pgadmin, jupyterhub, node-red or apache; until Ctrl-C (needs Node.js)
	@$(found) RUN_ENVOY="$(target_dir)/tools/run-envoy" envoy/apps/run start $(or $(APP),django)

##@ Build it

wasm: prerequisites ## Build the module: target/wasm32-wasip1/release/attestation_filter.wasm
ifndef ATTESTATION_FILTER_WASM
	@$(say) "wasm: building the module (half a minute the first time)"
	@scripts/wasm-cargo build --lib --release
endif

native: prerequisites ## Build the native module, for Envoy 1.37 and later: target/release/libattestation.so
ifndef ATTESTATION_NATIVE
	@$(say) "native: building the module (two minutes the first time)"
	@cargo build --profile native -p attestation-native
	@install -C -D "$(target_dir)/native/libattestation.so" "$(target_dir)/release/libattestation.so"
	@scripts/check-native "$(target_dir)/release/libattestation.so"
endif

cli: prerequisites ## Build the command line tool: target/release/attest (and the demo)
	@$(say) "cli: building attest (a minute or two the first time)"
	@cargo build --profile tools -p attest -p demo -p harness --no-default-features --bins
	@install -C -D "$(target_dir)/tools/attest" "$(target_dir)/release/attest"

# What starts Envoy for the tests that are not written in Rust. Built as a part of a test, see above.
run-envoy: prerequisites
	@$(say) "tests: building them (two minutes the first time)"
	@$(build-tests) --test cli --test e2e

envoy: prerequisites ## Fetch Envoy into .envoy/ (another: ENVOY_VERSION=1.37.0; your own: ENVOY=/path)
ifndef ENVOY
	@scripts/fetch-envoy $(ENVOY_VERSION)
endif

envoy-without-sign: prerequisites
ifndef ENVOY_WITHOUT_SIGN
	@scripts/fetch-envoy $(version_without_sign)
endif

size: wasm ## Show the module's size, raw and gzip
	@printf '%8d bytes raw\n%8d bytes gzip\n' $$(wc -c <"$(module)") $$(gzip -9c "$(module)" | wc -c)

clean: ## Remove everything that was built or fetched
	@rm -rf target .envoy .demo dist

##@ Check it

test: prerequisites fmt-check lint unit integration snippets configurations verifiers e2e e2e-native ## Run every check: format, lints, all tests

fmt: prerequisites ## Format the code
	@cargo fmt

fmt-check: prerequisites
	@$(say) "format: rustfmt finds nothing to change"
	@cargo fmt --check

lint: prerequisites ## Run clippy on everything, warnings are errors
	@$(say) "lint: clippy on the workspace (a minute the first time)"
	@cargo clippy --workspace --all-targets -- -D warnings
	@$(say) "lint: clippy on the module as Wasm (half a minute the first time)"
	@scripts/wasm-cargo clippy --lib -- -D warnings

unit: prerequisites ## Run the unit tests
	@$(say) "unit: the tests inside the packages (a minute the first time)"
	@$(test-of) --lib --bins

integration: prerequisites
	@$(say) "integration: attest as people run it; schema and documents; what the fuzzer has found"
	@$(test-of) --test cli --test configuration --test corpus

snippets:
	@$(say) "snippets: the documentation shows the code that is tested"
	@scripts/check-snippets

configurations: prerequisites wasm envoy run-envoy ## Have Envoy check every configuration below envoy/
	@$(say) "configurations: Envoy accepts what is shipped"
	@scripts/check-configurations "$(envoy)" "$(module)" "$(run_envoy)"
	@scripts/check-units
	@$(say) "configurations: Envoy accepts a sample of those that attest check calls right"
	@$(found) $(test-of) --quiet --bin attest -- a_sample_of_them --ignored

# Those of docs/verify.md that need nothing but what everything else here needs.
verifiers: prerequisites wasm envoy run-envoy
	@$(say) "verifiers: Rust, Python and jwt_authn verify through a rotation (a minute the first time)"
	@$(found) RUN_ENVOY="$(run_envoy)" tests/verifiers/run python rust sidecar

e2e: prerequisites $(modules) envoy envoy-without-sign run-envoy ## Run the end-to-end tests on a real Envoy (also HOST=native)
	@$(say) "e2e: the module in a real Envoy (a few minutes)"
	@$(found) ENVOY_WITHOUT_SIGN="$(envoy_without_sign)" $(e2e)

e2e-native: prerequisites wasm native envoy envoy-without-sign run-envoy ## Run them with the native module
	@$(say) "e2e-native: the native module in a real Envoy (a few minutes)"
	@$(found) HOST=native ENVOY_WITHOUT_SIGN="$(envoy_without_sign)" $(e2e)

##@ Check it on more

test-matrix: prerequisites $(modules) envoy-without-sign ## Run the end-to-end tests on every supported Envoy; writes down what each can do (also HOST=native)
	@HOST="$(HOST)" ATTESTATION_NATIVE="$(native)" ENVOY_WITHOUT_SIGN="$(envoy_without_sign)" scripts/test-matrix "$(module)" $(versions)

test-verifiers: prerequisites snippets wasm envoy run-envoy ## Verify in every language that is here (REQUIRE_ALL=1: all must be; scripts/install-verifiers)
	@$(say) "test-verifiers: every language verifies through a rotation (a few minutes the first time)"
	@$(found) RUN_ENVOY="$(run_envoy)" REQUIRE_ALL=$(REQUIRE_ALL) tests/verifiers/run
	@$(say) "test-verifiers: apps behind what attest from-pomerium writes"
	@$(found) RUN_ENVOY="$(run_envoy)" REQUIRE_ALL=$(REQUIRE_ALL) tests/verifiers/run migrated

verifier-caches: prerequisites ## Measure for how long libraries keep a keyset, for docs/verify.md (a minute; fetches them once)
	@$(say) "verifier-caches: fetching the libraries"
	@tests/verifiers/caches/run "$(target_dir)/verifier-caches"

servers: prerequisites wasm envoy ## Put lighttpd, Apache, PHP, a WSGI server and nginx around Envoy (scripts/install-servers)
	@$(say) "servers: real servers behind Envoy and in front of it (a minute)"
	@$(found) cargo test -p harness --test servers

test-login: prerequisites wasm cli envoy ## People log in with a browser (needs Node.js and Chromium)
	@$(say) "test-login: people log in with a browser (half a minute)"
	@$(found) RUN_ENVOY="$(target_dir)/tools/run-envoy" envoy/login/run test

test-apps: prerequisites wasm cli envoy ## Django, pgAdmin, JupyterHub, Node-RED and Apache behind the login, with a forger (needs Node.js and Chromium)
	@$(say) "test-apps: five apps, each by its own way in (two minutes; fetches them once)"
	@$(found) RUN_ENVOY="$(target_dir)/tools/run-envoy" REQUIRE_ALL=$(REQUIRE_ALL) envoy/apps/run test $(APP)

test-page: prerequisites cli ## Look at the page of attest upstream with axe, in a browser (needs Node.js and Chromium)
	@$(say) "test-page: every state, both themes, wide and narrow (a minute)"
	@ATTEST="$(or $(ATTEST),$(target_dir)/release/attest)" tests/page/run

compose-test: prerequisites ## Run envoy/docker-compose.yaml for real (skipped where there is no Docker)
	@scripts/compose-test "$(envoy)"

manifests: prerequisites ## Check the manifests below envoy/kubernetes against their schemas, and our own schema (needs Node.js)
	@$(say) "manifests: Kubernetes, Istio and Envoy Gateway know every field"
	@scripts/check-manifests

chart: prerequisites cli ## Check the Helm chart, with helm or Go to build it with (UPDATE=1 writes what it makes to tests/kubernetes/chart)
	@UPDATE=$(UPDATE) scripts/check-chart "$(target_dir)/release/attest"

kubernetes-api: prerequisites ## Rotate a Secret on a real kube-apiserver (needs Go and kubectl; ten minutes the first time)
	@$(say) "kubernetes-api: building the server (several minutes the first time)"
	@cd tests/kubernetes/apiserver && go build -trimpath -o "$(target_dir)/kubernetes/apiserver" .
	@$(build-tests) --test cli
	@$(say) "kubernetes-api: rotating a Secret on it (half a minute)"
	@KUBE_APISERVER="$(target_dir)/kubernetes/apiserver" $(test-of) --test cli real_cluster:: -- --ignored

alerts: prerequisites wasm envoy run-envoy check-rules ## Have every alert fire on a real Prometheus (of Debian's package prometheus; a minute)
	@$(say) "alerts: real Envoys, scraped by a real Prometheus"
	@$(found) $(e2e) -- alerts:: --ignored

check-rules: prerequisites ## Check the alert rules with promtool (of Debian's package prometheus)
	@promtool check rules envoy/observability/rules.yaml
	@promtool test rules envoy/observability/rules-test.yaml

##@ Check it for longer

fuzz-smoke: prerequisites ## Fuzz every reader of bytes from outside, 10 seconds each (longer: FUZZ_SECONDS=600)
	@$(say) "fuzz-smoke: building the fuzzer (several minutes the first time)"
	@scripts/fuzz build
	@$(say) "fuzz-smoke: running each target"
	@scripts/fuzz run $(or $(FUZZ_SECONDS),10)

crypto-evidence: prerequisites $(modules) envoy ## Have 100,000 signatures of each kind verified by three other libraries (10 minutes)
	@$(say) "crypto-evidence: signing and verifying"
	@$(found) SIGNATURES=$(or $(SIGNATURES),100000) \
	    $(e2e) signatures:: -- --nocapture --test-threads=1

sanitizers: prerequisites ## Run the native module's tests under AddressSanitizer and ThreadSanitizer (two minutes)
	@scripts/sanitizers

# An Envoy in valgrind takes half a minute to start.
in_valgrind := held:: events:: updates:: slow_clients:: spoofing::

native-memory: prerequisites wasm native envoy run-envoy ## Run the native module in an Envoy in valgrind (ten minutes)
	@$(say) "native-memory: the end-to-end tests that are hardest on it"
	@$(found) HOST=native UPDATES=$(or $(UPDATES),100) EVENTS=$(or $(EVENTS),5) ENVOY_WITHOUT_SIGN="$(envoy_without_sign)" \
	    scripts/native-memory "$(envoy)" $(test-of) --test e2e -- --include-ignored --test-threads 2 $(in_valgrind)

chaos: prerequisites $(modules) envoy ## Break everything under load: nothing arrives unsigned (CHAOS_REQUESTS=200000)
	@$(say) "chaos: $(or $(CHAOS_REQUESTS),200000) requests (some minutes)"
	@$(found) CHAOS_REQUESTS=$(or $(CHAOS_REQUESTS),200000) $(e2e) -- chaos:: --nocapture

events: prerequisites wasm native envoy ## Leave the filter without a key 50 times on each host, under load: no answer of 503 (two minutes)
	@$(say) "events: 50 with each host"
	@$(found) EVENTS=$(or $(EVENTS),50) $(e2e) -- events:: --nocapture
	@$(found) HOST=native EVENTS=$(or $(EVENTS),50) $(e2e) -- events:: --nocapture

updates: prerequisites wasm native envoy ## Update the configuration 4,000 times on each host under load: what it costs for good (ten minutes)
	@$(say) "updates: $(or $(UPDATES),4000) with each host"
	@$(found) UPDATES=$(or $(UPDATES),4000) $(e2e) -- updates:: --ignored --nocapture
	@$(found) HOST=native UPDATES=$(or $(UPDATES),4000) $(e2e) -- updates:: --ignored --nocapture

rotation-proof: prerequisites wasm native envoy ## Rotate 1,000 times at simulated time, and for real: nothing fails to verify (ten minutes)
	@$(say) "rotation-proof: building it (a few minutes the first time)"
	@cargo test --quiet --profile tools -p attest --bin attest --no-run
	@$(say) "rotation-proof: $(or $(ROTATIONS),1000) rotations of a file and of a Secret at simulated time"
	@ROTATIONS=$(or $(ROTATIONS),1000) cargo test --profile tools -p attest --bin attest auto::tests:: -- --nocapture
	@$(say) "rotation-proof: 40 rotations at compressed time, real daemons killed by SIGKILL"
	@$(build-tests) --test cli
	@ROTATIONS=40 $(test-of) --test cli daemons -- --nocapture
	@$(say) "rotation-proof: 20 rotations of three real Envoys on either host"
	@$(found) FLEET_ROTATIONS=20 $(e2e) -- fleet:: --nocapture
	@$(found) HOST=native FLEET_ROTATIONS=20 $(e2e) -- fleet:: --nocapture

rotation-story: prerequisites $(modules) envoy run-envoy ## A fleet, a daemon, a proxy that is gone, two new keys; writes docs/rotation.md (two minutes)
	@$(found) STORY_TO="$(or $(STORY_TO),$(CURDIR)/docs)" $(e2e) -- story:: --ignored --nocapture

soak: prerequisites $(modules) envoy run-envoy ## Rotate keys under steady load for an hour (SOAK_MINUTES=60); writes docs/soak.md (HOST=native: soak-native.md)
	@$(say) "soak: a rotation step a minute, for $(or $(SOAK_MINUTES),60) minutes"
	@$(found) SOAK_TO=$(or $(SOAK_TO),docs) $(e2e) -- soak:: --ignored --nocapture

##@ Measure it

bench: prerequisites wasm native envoy ## Measure both modules beside what else could be there (11 minutes; a quiet machine)
	@$(say) "bench: building it (a few minutes the first time)"
	@cargo build --profile bench-tools -p bench
	@CARGO_TARGET_WASM32_WASIP1_LINKER=rust-lld scripts/wasm-cargo build --release -p probe
	@$(say) "bench: measuring"
	@$(target_dir)/bench-tools/bench run --envoy "$(envoy)" --module "$(module)" --native "$(native)" $(BENCH_ARGS) --probe \
	    "$$(ls -t $(foreach place,$(target_dir) target/debian-rust/build,$(place)/wasm32-wasip1/release/probe.wasm) \
	    2>/dev/null | head -n 1)"
	@$(target_dir)/bench-tools/bench report
	@$(say) "bench: wrote docs/performance.md and bench/results/latest.json"

bench-micro: prerequisites ## Count the instructions of a request (CHECK=1 fails if they grew; SAVE=1 keeps them)
	@$(say) "bench-micro: building it (a minute or two the first time), then counting"
	@cargo run --quiet --profile micro -p micro -- \
	    $(if $(CHECK),--check) $(if $(SAVE),--save)

##@ Release it

oci: wasm ## Make an OCI image of the module, as Istio and Envoy Gateway pull it: dist/oci
	@$(say) "oci: the module as an image"
	@scripts/make-oci $$(scripts/version) dist/oci "wasip1/wasm=$(module)"
	@scripts/check-oci $$(scripts/version) dist/oci "wasip1/wasm=$(module)"

dist: wasm ## Put everything that a release consists of into dist/
	@$(say) "dist: modules, attest, schema, images, bills of materials, licences, checksums (ten minutes the first time)"
	@scripts/make-dist "$(module)"

reproduce: prerequisites ## Build modules and attest twice, in two places, and compare the bytes (twenty minutes)
	@scripts/reproduce

deny: prerequisites ## Check licences, sources and advisories of all crates (builds cargo-deny once; ten minutes)
	@$(say) "deny: what everything is built of"
	@scripts/check-deny

# What each way in needs, named together before anything else runs.
prerequisites:
	@ENVOY_VERSION=$(ENVOY_VERSION) scripts/check-prerequisites $(needs)
needs = rust
demo run login app verifiers test-verifiers test-login bench: needs = rust envoy
configurations e2e e2e-native servers test-matrix crypto-evidence chaos events rotation-proof rotation-story soak updates: needs = rust envoy openssl
envoy envoy-without-sign: needs = envoy
fmt fmt-check lint: needs = rust lint
compose-test manifests: needs =
verifier-caches: needs = envoy
kubernetes-api: needs = rust kubernetes
check-rules: needs = promtool
alerts: needs = rust envoy promtool
test-page: needs = rust browser
test-apps: needs = rust envoy browser
fuzz-smoke: needs = rust fuzz
sanitizers: needs = rust sources
native-memory: needs = rust envoy openssl valgrind
test: needs = rust lint envoy openssl
