// One token through a model, or as much of it as fuse.go understands, in
// one cooperative launch.
//
// Stages follow each other with a barrier over the grid between two. A product
// stage brings its own input (sums, norms, 15-bit integers) and takes its
// results on (bias, residual, GLU, the largest of them); an attention stage
// turns, stores and attends; the last picks the token. Weights flow through the
// barriers: those of the next product are on their way before it begins.
//
// The stages know operations, not models. Launch: one block of 512 threads an
// SM, cooperative. Bound by reading the weights once; what a stage costs beside
// that is its barrier, the way of its input through L2 and its last rows.
//
// measured: Llama 3.1 8B Q4_K_M, 444 tok/s, 2,052 GB/s of 4,540 (H200, 2026-11-28).
// Of a layer's 138 thousand clocks there: gate and up 33 %, down 24 %, q, k and v
// 16 %, the output 15 %, attention 8 %. In a stage of little weight nothing counts
// but latency (1B: 10 thousand clocks): 2.5 the input, 2.7 a warp's only item, 3.6
// the barrier.
//
// The next product's weights are fetched behind `arrive`: so the last rows wait
// for no new work (Gemma 3 1B: 805 to 861 tok/s). Code that runs once in a stage
// costs 5 to 50 clocks an instruction: it comes from L2. That is why there are
// modules of a few types each, and others for models with adapters, and why input
// that is brought all at once, by more code, was 2 to 10 % slower.
#pragma once
#include "product.cuh"
#include "decode.cuh"

const int STAGE_PRODUCT = 0;
const int STAGE_ATTEND = 1;
const int STAGE_PICK = 2;

struct Stage {
	int32_t kind;
	int32_t index; // of products or attends
};

// Pick takes the best of what the blocks found, and prepares the next token.
struct Pick {
	uint64_t best;  // {f32, i32} a block
	uint64_t token; // i32
	uint64_t id;    // i32: becomes the token; or 0
	uint64_t pos;   // i32: grows by *by; or 0
	uint64_t by;    // i32
};

struct Step {
	uint64_t stages;
	uint64_t products;
	uint64_t attends;
	uint64_t barrier; // two u32 words, zero between launches
	uint64_t profile; // i64: the clock of block 0 before each stage and at the end; or 0
	Pick pick;
	int32_t count;         // stages
	int32_t product_count;
	int32_t units;         // of an attention: kv heads · most splits
	int32_t region;        // bytes before the ring: activations, or attention
	int32_t sums;          // bytes before the sums of products
	int32_t room;          // units that have sums at a time
};

// An AdaptedStep has adapters, too: Adapted (products, blocks). Its barrier has
// a third word, which counts launches.
struct AdaptedStep {
	Step step;
	uint64_t adapted;
};

// A barrier over the grid in two halves: what any block wrote before arrive is
// seen by all behind wait.
DEVICE void arrive(uint32_t *counter) {
	__syncthreads();
	if (threadIdx.x == 0) release_add(counter, 1); // also of what the block wrote before __syncthreads
}
DEVICE void wait(const uint32_t *counter, uint32_t target) {
	if (threadIdx.x == 0)
		while ((int32_t)(load_acquire(counter) - target) < 0) {}
	__syncthreads();
}

// leave_grid zeroes the words of the barrier when the last block leaves.
DEVICE void leave_grid(uint32_t *counter) {
	if (threadIdx.x == 0 && atomicAdd(counter + 1, 1u) == gridDim.x - 1) {
		counter[0] = counter[1] = 0;
		if (adapting) counter[2]++;
	}
}

DEVICE void pick(const Pick &k, Best *memory) {
	Best b = {0, -1};
	const int2 *all = (const int2 *)k.best;
	for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x) {
		int2 v = __ldcg(all + i);
		b = better(b, {__int_as_float(v.x), v.y});
	}
	for (int i = 16; i > 0; i /= 2) b = better(b, {__shfl_xor_sync(full_warp, b.value, i), __shfl_xor_sync(full_warp, b.row, i)});
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = b;
	__syncthreads();
	if (threadIdx.x > 0) return;
	for (int i = 1; i < MATVEC_WARPS; i++) b = better(b, memory[i]);
	int token = b.row < 0 ? 0 : b.row;
	*(int32_t *)k.token = token;
	if (k.id) *(int32_t *)k.id = token;
	if (k.pos) *(int32_t *)k.pos += *(const int32_t *)k.by;
}

// attend_unit is a call, so that attention, which takes all registers, does not
// have what surrounds it kept in local memory: that is slow where the ring has
// left no cache (8B, H100: 326 tok/s inlined, 351 called).
template <int DIM, int CACHE> DEVICE_CALL void attend_unit(const Decode &a, int unit, char *memory) { decode_attention<DIM, CACHE>(a, unit, memory); }

template <int DIM, int CACHE, bool RING> DEVICE void step(const Step &a, uint64_t all_adapted) {
	SHARED Product products[2]; // the current one, and the next
	SHARED Decode attend;
	SHARED float sums[2 * MATVEC_WARPS];
	SHARED Best bests[MATVEC_WARPS];
	SHARED Flow parked[MATVEC_WARPS];
	char *memory = dynamic_shared();
	const Stage *stages = (const Stage *)a.stages;
	const Product *all = (const Product *)a.products;
	uint32_t *barrier = (uint32_t *)a.barrier, target = 0;
	int at = 0; // product

#ifdef ADAPTED
	SHARED Adapted adapted[2]; // as products
	SHARED float4 low[LOW_MOST / 4];
	SHARED float low_sums[LOW_ROWS * MATVEC_WARPS];
	SHARED uint4 b[LOW_UNITS * 32];
	const uint32_t launch = load_acquire(barrier + 2) + 1;
	copy_adapted(&adapted[0], all_adapted, 0);
#endif
	copy_words(&products[0], all, sizeof(Product));
	Flow f = start_flow(a.region, 0);
	__syncthreads();
	Loaded pending[2];
	for (int s = 0; s < a.count; s++) {
		Stage stage = stages[s];
		if (a.profile && blockIdx.x == 0 && threadIdx.x == 0) ((int64_t *)a.profile)[s] = clock64();
		if (stage.kind == STAGE_PRODUCT) {
			if (at + 1 < a.product_count) copy_words(&products[(at + 1) & 1], all + at + 1, sizeof(Product));
			if (s + 1 < a.count && stages[s + 1].kind == STAGE_ATTEND)
				copy_words(&attend, (const Decode *)a.attends + stages[s + 1].index, sizeof(Decode));
			const Product &p = products[at & 1];
			const Lowering *adapters = 0;
#ifdef ADAPTED
			if (at + 1 < a.product_count) copy_adapted(&adapted[(at + 1) & 1], all_adapted, at + 1);
			const Lowering own = {&adapted[at & 1], launch, (float *)low, low_sums, (char *)b};
			adapters = &own;
#endif
			Activations x = activations(memory, p.cols);
			float factor = prepare(p, x, sums, adapters); // has a barrier: the copies are there
			product<RING>(products, at & 1, f, pending, x, factor, (float *)(memory + a.sums), a.room, bests, adapters);
			if (++at < a.product_count) go_on(f, at & 1);
		} else if (stage.kind == STAGE_ATTEND) {
			park(f, &parked[threadIdx.x >> 5]);
			for (int unit = blockIdx.x; unit < a.units; unit += gridDim.x) {
				attend_unit<DIM, CACHE>(attend, unit, memory);
				__syncthreads();
			}
			f = resume<RING>(&parked[threadIdx.x >> 5]);
			for (Loaded &v : pending) v = Loaded(); // fetched again: no need to keep it
		} else if (blockIdx.x == 0) {
			pick(a.pick, bests);
		}
		if (s + 1 == a.count) break;
		arrive(barrier);
		fill<RING>(f, pending, products); // the blocks take their time
#ifdef ADAPTED
		if (at < a.product_count) fetch_low(adapted[at & 1], products[at & 1].cols);
#endif
		wait(barrier, target += gridDim.x);
	}
	if (a.profile && blockIdx.x == 0 && threadIdx.x == 0) ((int64_t *)a.profile)[a.count] = clock64();
	leave_grid(barrier);
}

#ifdef ADAPTED
#define STEP_KERNEL(name) KERNEL(name, AdaptedStep, MATVEC_THREADS, 1)
#define STEP_ARGS a.step, a.adapted
#else
#define STEP_KERNEL(name) KERNEL(name, Step, MATVEC_THREADS, 1)
#define STEP_ARGS a, 0
#endif
#define STEP(name, dim, type, cache) \
	STEP_KERNEL(name##_##dim##_##type) { step<dim, cache, false>(STEP_ARGS); } \
	STEP_KERNEL(name##_##dim##_##type##_ring) { \
		if (async_copies) step<dim, cache, true>(STEP_ARGS); \
	}
#define STEPS(name) \
	STEP(name, 64, f16, F16) STEP(name, 96, f16, F16) STEP(name, 128, f16, F16) STEP(name, 256, f16, F16) \
	STEP(name, 64, q8_0, Q8_0) STEP(name, 128, q8_0, Q8_0) STEP(name, 256, q8_0, Q8_0)
