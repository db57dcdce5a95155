# Every target sets up what it needs by itself: a .venv, installed again only when the requirements change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
GPU    := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
STAMP  := $(VENV)/.installed-$(GPU)
ROOMS  := sampling verify cluster jobs troop
KILLS  ?= 500
FAULTS ?= 500
SEED   ?= 1
DRIVERS ?= 1
SECONDS ?= 600
WORKERS ?= 3
BUILDER ?= $(firstword $(foreach name,docker podman buildah,$(shell command -v $(name) 2>/dev/null)))
IMAGES ?= cpu gpu
TEST_IMAGE ?= localhost/troop:cpu
READERS ?= duckdb==0.10.3 duckdb==1.0.0 duckdb==1.1.3 duckdb==1.4.1 polars==1.20.0 polars==2.1.0 pandas==2.2.3 \
  datafusion==55.0.0 pyspark==3.5.4 pyspark==4.1.1
TRL     ?= trl==1.16.0 accelerate==1.15.0 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 pandas==3.1.1 xxhash==4.1.0
WASM    ?= 0.8.0
COMMIT   = $(shell git describe --always --dirty=+ --abbrev=12 2>/dev/null || echo unknown)
UV      = $(BIN)/uv
# A machine may keep its wheels in a folder that only pip knows of; uv is told by hand.
LINKS   = $(foreach dir,$(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)),--find-links $(dir))

unexport PYTHONDONTWRITEBYTECODE  # every process of a run would compile all modules again

.PHONY: help install demo test test-all chaos fuzz check check-gpu bench docs images test-images test-readers format lock clean
help: ## say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

install: $(STAMP) ## create .venv and install Troop into it

$(STAMP): requirements/$(GPU).txt pyproject.toml
	@echo "install: Python packages of requirements/$(GPU).txt into $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "install: $(PYTHON) is $$($(PYTHON) -V); Troop needs Python 3.11 to 3.13 (make PYTHON=python3.12 …)"; exit 2; }
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --disable-pip-version-check uv 2>$(VENV)/install.log; } \
	  || { cat $(VENV)/install.log; exit 1; }
	@$(UV) pip install -q --python $(BIN)/python --no-deps $(LINKS) -r requirements/$(GPU).txt 2>.venv/install.log \
	  || $(UV) pip install -q --python $(BIN)/python --no-deps --torch-backend $(GPU:gpu=auto) -r requirements/$(GPU).txt \
	  || { cat .venv/install.log; exit 1; }
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true  # importing vLLM: 17 s without, 7 s with
	@rm -f $(VENV)/.installed-*; touch $@

demo: $(STAMP) ## the whole chain on this machine, ending with a report (about two minutes)
	@$(BIN)/troop demo

test: $(STAMP) ## the test suite
	@echo "test: pytest, with a real engine, a real Ray, a real S3 server and a real browser where the machine has one"
	@$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: $(STAMP) ## the test suite and its slow tests: every attack in every language, several nodes, long runs
	@echo "test-all: pytest, all tests"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

chaos: $(STAMP) ## kill, freeze and cut the network of real runs: make chaos KILLS=500 FAULTS=500 SEED=1 DRIVERS=2
	@echo "chaos: $(KILLS) kills and freezes, $(FAULTS) network faults, seed $(SEED), drivers of one run at once: $(DRIVERS)"
	@$(BIN)/python -m tests.chaos --kills $(KILLS) --faults $(FAULTS) --seed $(SEED) --drivers $(DRIVERS)

fuzz: $(STAMP) ## random system calls inside the sandbox, in both tiers: make fuzz SECONDS=600 SEED=1
	@echo "fuzz: $(SECONDS) s, seed $(SEED)"
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

check: $(STAMP) ## format, lint, strict types, the order of the rooms, dead code
	@echo "check: ruff format, ruff lint, mypy --strict, import-linter, vulture"
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache && $(BIN)/vulture

check-gpu: $(VENV)-gpu/.installed ## with the GPU wheels and without a GPU: models' modules, devices, configurations
	@echo "check-gpu: pytest tests/gpu in $(VENV)-gpu"
	@TROOP_CHECK_GPU=1 $(VENV)-gpu/bin/python -m pytest tests/gpu -rs

$(VENV)-gpu/.installed: $(STAMP) requirements/gpu.txt
	@echo "check-gpu: Python packages of requirements/gpu.txt into $(VENV)-gpu (12 GB)"
	@$(PYTHON) -m venv $(VENV)-gpu
	@$(UV) pip install -q --python $(VENV)-gpu/bin/python --no-deps $(LINKS) -r requirements/gpu.txt
	@$(UV) pip install -q --python $(VENV)-gpu/bin/python --no-deps --no-build-isolation -e .
	@touch $@

bench: $(STAMP) $(VENV)/ray-data $(VENV)/peers $(VENV)/datatrove ## measure beside plain vLLM, Ray Data and other sandboxes, writes bench/RESULTS.md
	@echo "bench: sampling, verification, results, driver"
	@$(BIN)/python -m bench

# Ray Data wants pandas, which nothing else here does, and pyarrow gets slow to start where it is.
$(VENV)/ray-data: $(STAMP)
	@$(UV) pip install -q --python $(BIN)/python --no-deps --target $@ $(LINKS) "pandas>=3"

$(VENV)/datatrove: $(STAMP)
	@$(UV) pip install -q --python $(BIN)/python --no-deps --target $@ $(LINKS) datatrove humanize orjson

# Both want many packages that the parts measured here do not use.
PEERS = evalplus appdirs fire multipledispatch tempdir termcolor wget lm-eval evaluate sqlitedict word2number more-itertools tabulate jsonlines pytablewriter tabledata DataProperty \
  mbstrdecoder pathvalidate tcolorpy typepy sacrebleu rouge-score portalocker colorama
$(VENV)/peers: $(STAMP)
	@$(UV) pip install -q --python $(BIN)/python --no-deps --target $@ $(LINKS) $(PEERS)

docs: $(STAMP) ## write the tables of docs/*.md and the sweep's schema anew from the code
	@echo "docs: docs/*.md, examples/sweep.schema.json"
	@$(BIN)/python -m docs.pages
	@$(BIN)/python -m jobs schema --out examples/sweep.schema.json

images: ## build the images troop:cpu and troop:gpu with docker, podman or buildah
	@test -n "$(BUILDER)" || { echo "images: none of docker, podman and buildah is installed here"; exit 2; }
	@for kind in $(IMAGES); do echo "images: troop:$$kind with $(BUILDER)"; \
	  $(BUILDER) build $(BUILD_OPTIONS) -f cluster/manifests/Dockerfile.$$kind --build-arg CODE_VERSION=$(COMMIT) -t troop:$$kind . || exit 1; done

test-images: $(STAMP) ## run the CPU image and patches on an image, after make images
	@echo "test-images: pytest tests/images with $(TEST_IMAGE)"
	@TROOP_TEST_IMAGE=$(TEST_IMAGE) $(BIN)/python -m pytest tests/images -rs

test-readers: $(STAMP) ## DuckDB, Polars, pandas, DataFusion and Spark, old and new, read a run, and TRL an export; 1.6 GB
	@for reader in $(READERS); do folder=.readers/$$(echo $$reader | sed s/==/-/); test -d $$folder || { \
	  echo "test-readers: $$reader into $$folder"; $(UV) pip install -q --python $(BIN)/python $(LINKS) --target $$folder $$reader; } || exit 1; done
	@folder=.readers/$(subst ==,-,$(firstword $(TRL))); test -d $$folder || { echo "test-readers: $(TRL) into $$folder"; \
	  $(UV) pip install -q --python $(BIN)/python $(LINKS) --no-deps --target $$folder $(TRL); } || exit 1  # torch is in .venv
	@test -d .readers/wasm-$(WASM) || ! command -v npm >/dev/null || { echo "test-readers: parquet-wasm $(WASM) into .readers/wasm-$(WASM)"; \
	  npm install --silent --no-audit --no-fund --prefix .readers/wasm-$(WASM) parquet-wasm@$(WASM) apache-arrow@21; } || exit 1
	@$(BIN)/python -m pytest -n0 tests/readers -rs

format: $(STAMP) ## let ruff rewrite what check would refuse
	@echo "format: ruff format and ruff check --fix"
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(STAMP) ## resolve requirements/{cpu,gpu}.txt again
	@echo "lock: uv pip compile"
	@$(UV) pip compile -q --universal --python-version 3.11 $(LINKS) --override requirements/overrides-cpu.txt \
	  --extra cpu --extra dev --no-annotate pyproject.toml -o requirements/cpu.txt --custom-compile-command "make lock"
	@$(UV) pip compile -q --universal --python-version 3.11 --extra gpu --extra dev --no-annotate \
	  pyproject.toml -o requirements/gpu.txt --custom-compile-command "make lock"

clean: ## remove .venv and caches
	@echo "clean: $(VENV) and caches"
	@rm -rf $(VENV) $(VENV)-gpu .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
