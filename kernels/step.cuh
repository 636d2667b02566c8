// One token through a model, or as much of it as fuse.go understands, in
// one cooperative launch.
//
// Every block walks the same list of products, some of which an attention
// follows, and the choice of the token in the end. There is no barrier between
// them: a block waits for the numbers that it reads (tagged.cuh). A product brings
// its own input (sums, norms, 15-bit integers) and takes its results on (bias,
// residual, GLU, the largest of them); an attention turns, stores and attends.
// A product's first weights are on their way before its input is there.
//
// The kernel knows operations, not models. Launch: one block of 512 threads an
// SM, cooperative. Bound by reading the weights once; what a product costs beside
// that is the way of its input through L2, and latency: every warp's own few
// hundred instructions before its first tile and after its last.
//
// measured (H200, 2026-11-28, of 4,640 GB/s): Llama 3.1 8B Q4_K_M 571 tok/s (2,638
// GB/s), 3.2 3B 952, 3.2 1B 2,011; with a barrier between two stages 444, 737, 1,580.
// README.md says what it took, what a layer's clocks are, and what was no faster.
#pragma once
#define TAGGED
#include "product.cuh"
#include "decode.cuh"

// Pick takes the best of what the blocks found, and prepares the next token.
struct Pick {
	uint64_t best;  // {f32, i32} a block
	uint64_t token; // i32
	uint64_t id;    // i32: becomes the token; or 0
	uint64_t pos;   // i32: grows by *by; or 0
	uint64_t by;    // i32
};

struct Step {
	uint64_t products;
	uint64_t lots; // (products, blocks)
	uint64_t attends;
	uint64_t launches; // u32: how many there were, and blocks that have left
	Pick pick;
	int32_t count;         // products
	int32_t units;         // of an attention: kv heads · most splits
	int32_t region;        // bytes before the ring: activations, or attention
	int32_t sums;          // bytes before the sums of products
	int32_t room;          // units that have sums at a time
};

// An AdaptedStep has adapters, too: Adapted (products, blocks).
struct AdaptedStep {
	Step step;
	uint64_t adapted;
};

// leave_grid counts the launch when the last block leaves.
DEVICE void leave_grid(uint32_t *launches) {
	if (threadIdx.x == 0 && atomicInc(launches + 1, gridDim.x - 1) == gridDim.x - 1) launches[0]++;
}

DEVICE void pick(const Pick &k, uint32_t launch, Best *memory) {
	Best b = {0, -1};
	const volatile uint64_t *all = (const uint64_t *)k.best;
	for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x) {
		uint64_t word;
		while (((uint32_t)((word = all[i]) >> 32) ^ launch) & 1) pause();
		b = better(b, {__uint_as_float((uint32_t)word), (int32_t)(word >> 32) >> 1});
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

// Attention and products take all registers, so each is a call, and has none of the
// other's kept over it. For that nothing may be undefined on a way into them (hence
// the zeros in decode_attention and fill): what is might be from the turn before, so
// that ptxas keeps it over the loop here, in local memory, and the ring has left no
// cache for that. One H200, 2026-11-28, tok/s of Llama 3.1 8B, 3.2 1B and Gemma 3
// 1B: 537, 1,905, 1,041 with undefined keys, values and tiles, 560, 1,972, 1,195 without
// (and with two tiles before the input: flow.cuh).
template <int DIM, int CACHE> DEVICE_CALL bool attend_unit(const Decode &a, int position, uint32_t launch, int unit, char *memory) {
	return decode_attention<DIM, CACHE>(a, unit, memory, 0, 0, position, launch);
}
template <int DIM> DEVICE_CALL void gather_unit(const Decode &a, uint32_t launch, char *memory) { decode_gather<DIM>(a, launch, memory); }

// A Board is what a block has in shared memory beside dynamic_shared. It is no
// function's, because step and multiply share it; the arguments are in it, because a
// call has no parameters of the kernel.
struct Board {
	Product products[2]; // the current one, and the next
	Lot lots[2];
	alignas(16) Decode attend;
	Step step;
	float sums[2 * MATVEC_WARPS];
	Best bests[MATVEC_WARPS];
#ifdef ADAPTED
	Adapted adapted[2]; // as products
	float4 low[LOW_MOST / 4];
	float low_sums[LOW_ROWS * MATVEC_WARPS];
	uint4 b[LOW_UNITS * 32];
	uint64_t all_adapted;
#endif
};
static_assert(sizeof(Board) <= (adapting ? 13 : 5) << 10, "product.go's sharedOfStep, adapted.go's lowBytes");
SHARED Board board;

// multiply computes product i, which is on the board with its lot. Behind it the next
// product is there, and the attention that follows; dynamic_shared is free but for the ring.
template <bool RING> DEVICE_CALL void multiply(int i, uint32_t launch) {
	const Step &a = board.step;
	const Product &p = board.products[i & 1];
	const Lot &lot = board.lots[i & 1];
	char *memory = dynamic_shared();
	const Lowering *adapters = 0;
#ifdef ADAPTED
	const Lowering own = {&board.adapted[i & 1], launch, (float *)board.low, board.low_sums, (char *)board.b};
	adapters = &own;
	if (i > 0) fetch_low(board.adapted[i & 1], p.cols); // the first waits for nobody
#endif
	Flow f;
	Loaded pending[2];
	fill<RING>(f, pending, p, lot, a.region); // the blocks take their time
	Activations x = activations(memory, p.cols);
	float factor = prepare(p, lot, x, board.sums, launch, adapters); // behind its __syncthreads nobody uses the product before
	if (i + 1 < a.count) {
		bring(0, &board.products[i + 1 & 1], (const Product *)a.products + i + 1);
		bring(1, &board.lots[i + 1 & 1], (const Lot *)a.lots + (i + 1) * gridDim.x + blockIdx.x);
#ifdef ADAPTED
		bring(2, &board.adapted[i + 1 & 1], (const Adapted *)board.all_adapted + (i + 1) * gridDim.x + blockIdx.x);
#endif
	}
	if (p.attend >= 0) bring(3, &board.attend, (const Decode *)a.attends + p.attend);
	fill_up<RING>(f, p, lot);
	product<RING>(p, lot, f, pending, x, factor, (float *)(memory + a.sums), a.room, launch, board.bests, adapters);
}

template <int DIM, int CACHE, bool RING> DEVICE void step(const Step &a, uint64_t all_adapted) {
	char *memory = dynamic_shared();
	uint32_t *launches = (uint32_t *)a.launches;
	const uint32_t launch = look(launches) + 1;
	const int position = ((const Decode *)a.attends)->pos[0]; // of all
	bring(0, &board.products[0], (const Product *)a.products);
	bring(1, &board.lots[0], (const Lot *)a.lots + blockIdx.x);
#ifdef ADAPTED
	bring(2, &board.adapted[0], (const Adapted *)all_adapted + blockIdx.x);
	if (threadIdx.x == 0) board.all_adapted = all_adapted;
#endif
	if (threadIdx.x == 0) board.step = a;
	cp_async_commit(), cp_async_wait<0>();
	__syncthreads();
	for (int i = 0; i < a.count; i++) {
		multiply<RING>(i, launch);
		if (board.products[i & 1].attend < 0) continue;
		for (int unit = gridDim.x - 1 - blockIdx.x; unit < a.units; unit += gridDim.x) { // weights come later: attention has all registers
			if (attend_unit<DIM, CACHE>(board.attend, position, launch, unit, memory)) gather_unit<DIM>(board.attend, launch, memory);
			__syncthreads();
		}
	}
	if (a.pick.token && blockIdx.x == 0) {
		__syncthreads(); // bests
		pick(a.pick, launch, board.bests);
	}
	leave_grid(launches);
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
