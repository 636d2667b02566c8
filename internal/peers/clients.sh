#!/usr/bin/env bash
# OpenAI's clients for Go, Python and JavaScript, unchanged, and schemathesis on
# the document at /openapi.json, against servers of ./llcuda.
#
#	internal/peers/clients.sh [go|python|js|schema]…    all without a name
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- go python js schema

dir=$(mktemp -d)
servers=()
end() {
	for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
	rm -rf "$dir"
}
trap end EXIT

# serve NAME ARGS… starts a server at a free port, and leaves its address in
# $url once it is healthy.
serve() {
	local name=$1
	shift
	: >"$dir/$name" # it is there before the server is
	./llcuda serve "$@" --port 0 >"$dir/$name" 2>"$dir/$name.log" &
	servers+=($!)
	for _ in $(seq 600); do
		url=$(head -1 "$dir/$name")
		if [ -n "$url" ] && python3 - "${url%/v1}/health" 2>/dev/null <<-'END'
			import sys, urllib.request
			urllib.request.urlopen(sys.argv[1], timeout=5)
		END
		then return; fi
		kill -0 "${servers[-1]}" 2>/dev/null || break
		sleep 0.1
	done
	cat "$dir/$name.log" >&2
	return 1
}

# Each client has two parts: what it needs, made side by side, and its tests.

need_go() { (cd internal/peers/testdata/openai-go && go test -c -o "$dir/go.test" .); }

client_go() { OPENAI_BASE_URL=$chat OPENAI_API_KEY=$LLCUDA_API_KEY "$dir/go.test" -test.v | grep -v '^=== '; }

need_python() { .venv/bin/python -c 'import openai'; }

client_python() { .venv/bin/python internal/peers/openai_client.py "$LLCUDA_API_KEY" "$demo" "$chat"; }

need_js() {
	if ! command -v npm >/dev/null; then
		echo "npm is missing: install it, or name the others: $0 go python schema" >&2
		return 1
	fi
	npm install --silent --no-save --prefix .peers openai@6.49.0
}

client_js() {
	cp internal/peers/openai_client.mjs .peers
	OPENAI_API_KEY=$LLCUDA_API_KEY node .peers/openai_client.mjs "$chat" smollm2
}

need_schema() {
	local version=4.32.5
	.peers/schema/bin/schemathesis --version 2>/dev/null | grep -q "$version" && return
	python3 -m venv .peers/schema
	.peers/schema/bin/pip install -q --disable-pip-version-check "schemathesis==$version"
}

# Everything but that right data is accepted: no document can say which texts
# are longer than the context.
client_schema() {
	local schemathesis=$PWD/.peers/schema/bin/schemathesis
	(cd "$dir" && "$schemathesis" run "${demo%/v1}/openapi.json" -H "Authorization: Bearer $LLCUDA_API_KEY" \
		--exclude-checks positive_data_acceptance --suppress-health-check all --max-examples 25 --seed 1)
}

export LLCUDA_API_KEY=secret
serve demo demo --ctx 512 --embeddings
demo=$url
serve chat .models/smollm2-135m-q4_1.gguf --alias smollm2 --ctx 1024 --embeddings
chat=$url
mkdir -p .peers
needs=()
for client; do
	"need_$client" &
	needs+=($!)
done
for pid in "${needs[@]}"; do wait "$pid"; done
for client; do
	echo "== $client"
	"client_$client"
done
