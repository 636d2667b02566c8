#!/usr/bin/env bash
# Numerics and speed beside llama.cpp, on this machine, in one run. Builds
# llama.cpp from the source package of llama-cpp-python into .peers once.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=$PWD/internal/peers models=${LLCUDA_MODELS:-$PWD/.models} dir=$PWD/.peers
mkdir -p "$dir"

if [ ! -x "$dir/venv/bin/ninja" ]; then
	python3 -m venv "$dir/venv"
	"$dir/venv/bin/pip" install -q cmake ninja numpy scikit-build-core gguf==0.19.0
fi
export PATH=$dir/venv/bin:$PATH

src=$dir/llama_cpp_python-0.3.36
bin=$src/vendor/llama.cpp/build/bin
if [ ! -x "$bin/llama-bench" ]; then
	pip download -q --no-deps --no-binary :all: --no-build-isolation -d "$dir" llama-cpp-python==0.3.36
	tar xzf "$dir"/llama_cpp_python-0.3.36.tar.gz -C "$dir"
	# No native build: it would use AMX, which crashes in some virtual machines.
	flags=()
	grep -q avx512f /proc/cpuinfo && flags+=(-DGGML_AVX512=ON)
	grep -q avx512_vnni /proc/cpuinfo && flags+=(-DGGML_AVX512_VNNI=ON)
	cmake -S "$src/vendor/llama.cpp" -B "$src/vendor/llama.cpp/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
		-DGGML_NATIVE=OFF "${flags[@]}" -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DBUILD_SHARED_LIBS=ON \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TOOLS=ON >/dev/null
	cmake --build "$src/vendor/llama.cpp/build" --target llama-bench llama-perplexity
	CMAKE_ARGS=-DLLAMA_BUILD=OFF pip install -q --no-build-isolation "$src"
fi
export LLAMA_CPP_LIB_PATH=$bin LD_LIBRARY_PATH=$bin

synth=$dir/llama-3.2-1b-synthetic.gguf
[ -f "$synth" ] || python "$peers/synth_gguf.py" llama-3.2-1b "$synth"

python "$peers/speed.py" ./llcuda "$bin/llama-bench" "$models"/*.gguf "$synth"
for m in "$models"/*.gguf; do
	python "$peers/kl.py" ./llcuda "$m"
done
