// decode: attention of few queries over a cache of f16 or q8_0 (decode.cuh).
//
// decode_crowd: of queries that know nothing of each other, which makes the input of
// a product of their results, besides: a query's last block does.
//
// Launch: a block a unit, decode_shared bytes. Bound by reading keys and values
// once; a short context by the chain of loads, products and sums of one unit.
//
// cold: decode_many_f16_112 some 100 bytes of few queries with heads that few models have
// cold: decode_crowd_f16_112 20 bytes, likewise
// cold: decode_crowd_q8_0_96 32 bytes that are stored before and read after the loop over keys
#include "decode.cuh"
#include "parts.cuh"

// A CrowdStep is a Crowd, and where its results go besides: they are the input of a
// product (activations.cu).
struct CrowdStep {
	Crowd crowd;
	uint64_t to;    // f16 (n, heads·dim), or 0
	uint64_t scale; // f32 (n)
	uint64_t done;  // u32 (n), 0; left 0: sets of a query that have their results
	int32_t quads;  // heads·dim/4, up to 8 a thread
	int32_t early;  // no kernel of the step writes positions and sequences
};

// idle says whether a unit of a crowd has no keys: most have none while texts
// are short, and leave before they look at the others.
DEVICE bool idle(const Crowd &c, int block) {
	int query = block / c.units, split = (block - query * c.units) / c.one.sets;
	return split > 0 && (int64_t)split << c.one.split_shift >= min(max(c.one.pos[query], 0) + 1, c.one.window);
}

// put_row makes the product's input of a query's results, or of zeros.
DEVICE_CALL void put_row(const CrowdStep &a, int query, bool zeros) {
	SHARED float memory[DECODE_THREADS / 32];
	const int lane = threadIdx.x % 32;
	const int64_t first = (int64_t)query * a.quads;
	float4 x[8];
	float most = 0;
#pragma unroll
	for (int v = 0; v < 8; v++) {
		int i = threadIdx.x + v * DECODE_THREADS;
		x[v] = make_float4(0, 0, 0, 0);
		if (!zeros && i < a.quads) x[v] = load_fresh4(a.crowd.one.dst + (first + i) * 4);
		most = fmaxf(most, largest_of(x[v]));
	}
	most = warp_max(most);
	if (lane == 0) memory[threadIdx.x / 32] = most;
	__syncthreads();
	const int e = input_exponent(warp_max(memory[lane % (DECODE_THREADS / 32)]));
#pragma unroll
	for (int v = 0; v < 8; v++) {
		int i = threadIdx.x + v * DECODE_THREADS;
		if (i < a.quads) put_input(a.to, first + i, x[v], input_inverse(e));
	}
	if (threadIdx.x == 0) ((float *)a.scale)[query] = input_scale(e);
}

// crowd_step is decode_crowd of this block; the last block of a query's sets makes
// the input.
template <int DIM, int TYPE> DEVICE void crowd_step(const CrowdStep &a) {
	const int query = blockIdx.x / a.crowd.units;
	if (!a.early) await_before();
	if (idle(a.crowd, blockIdx.x)) return;
	if (a.early) await_before();
	attention::DecodeSums *sums = (attention::DecodeSums *)(dynamic_shared() + attention::decode_slots);
	if (threadIdx.x == 0) sums->splits = 0; // as long as nothing is computed
	decode_crowd<DIM, TYPE>(a.crowd, blockIdx.x, dynamic_shared());
	if (!a.to) return;
	__syncthreads();
	const int splits = sums->splits;
	if (splits == 0) { // a query of no sequence, or a split without keys
		if ((int)blockIdx.x == query * a.crowd.units) put_row(a, query, true);
		return;
	}
	if (splits > 1 && !sums->last) return;
	__threadfence();
	__syncthreads();
	if (threadIdx.x == 0) {
		uint32_t *done = (uint32_t *)a.done + query;
		sums->last = atomicAdd(done, 1) == a.crowd.one.sets - 1;
		if (sums->last) *done = 0;
	}
	__syncthreads();
	if (!sums->last) return;
	__threadfence();
	put_row(a, query, false);
}

#define DECODE(dim, name, type) \
	KERNEL(decode_##name##_##dim, Decode, DECODE_THREADS, 1) { decode_attention<dim, type>(a, blockIdx.x, dynamic_shared()); } \
	KERNEL(decode_many_##name##_##dim, Decode, DECODE_THREADS, 1) { decode_attention<dim, type, true>(a, blockIdx.x, dynamic_shared()); } \
	EARLY_KERNEL(decode_crowd_##name##_##dim, CrowdStep, DECODE_THREADS, 1) { crowd_step<dim, type>(a); }
DECODE(64, f16, CACHE_F16)
DECODE(80, f16, CACHE_F16)
DECODE(96, f16, CACHE_F16)
DECODE(112, f16, CACHE_F16)
DECODE(128, f16, CACHE_F16)
DECODE(256, f16, CACHE_F16)
DECODE(64, q8_0, CACHE_Q8_0)
DECODE(96, q8_0, CACHE_Q8_0)
DECODE(128, q8_0, CACHE_Q8_0)
DECODE(256, q8_0, CACHE_Q8_0)
