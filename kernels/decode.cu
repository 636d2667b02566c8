// decode: attention of few queries over a cache of f16 or q8_0 (decode.cuh).
//
// decode_crowd: of queries that know nothing of each other, which makes the input of
// a product of their results, besides: a query's last block does.
//
// Launch: a block a unit, of crowds a block an SM, decode_shared bytes. Bound by reading keys and values
// once; a short context by the chain of loads, products and sums of one unit.
//
// cold: decode_many_f16_112 328 bytes of few queries with heads that few models have
// cold: decode_crowd_f16_112 16 bytes, likewise
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

// unit_of finds unit t of those that have work, query after query, for a warp: the
// most splits that its keys, or fewer, make (splits_of), for where a cache has turned a
// query sees fewer than its position says; the first one in any case.
template <int DIM, int TYPE> DEVICE bool unit_of(const Crowd &c, int t, int *query, int *unit) {
	typedef attention::Team<DIM, TYPE> Team;
	const int lane = threadIdx.x % 32;
	for (int from = 0; from < c.n; from += 32) {
		int units = 0;
		if (from + lane < c.n) {
			int seen = min(max(c.one.pos[from + lane], 0) + 1, c.one.window);
			units = c.one.sets * (seen <= Team::count * Team::keys ? 1 : min(c.one.splits, (seen - 1 >> c.one.split_shift) + 1));
		}
		int upto = units;
		for (int i = 1; i < 32; i *= 2) {
			int before = __shfl_up_sync(full_warp, upto, i);
			if (lane >= i) upto += before;
		}
		uint32_t past = __ballot_sync(full_warp, upto > t);
		if (past) {
			int first = __ffs(past) - 1;
			*query = from + first, *unit = t - __shfl_sync(full_warp, upto - units, first);
			return true;
		}
		t -= __shfl_sync(full_warp, upto, 31);
	}
	return false;
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

// crowd_unit is decode_crowd; the last block of a query's sets makes the input.
template <int DIM, int TYPE> DEVICE void crowd_unit(const CrowdStep &a, int query, int unit) {
	attention::DecodeSums *sums = (attention::DecodeSums *)(dynamic_shared() + attention::decode_slots);
	if (threadIdx.x == 0) sums->splits = 0; // as long as nothing is computed
	decode_crowd<DIM, TYPE>(a.crowd, query * a.crowd.units + unit, dynamic_shared());
	if (!a.to) return;
	__syncthreads();
	const int splits = sums->splits;
	if (splits == 0) { // a query of no sequence
		if (unit == 0) put_row(a, query, true);
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

// crowd_step deals units that have work to the blocks: a block that has none would
// take as long to begin as one that has some, and most have none while texts are
// short.
template <int DIM, int TYPE> DEVICE void crowd_step(const CrowdStep &a) {
	if (!a.early) await_before();
	int query, unit;
	for (int t = blockIdx.x; unit_of<DIM, TYPE>(a.crowd, t, &query, &unit); t += gridDim.x) {
		if (a.early) await_before();
		crowd_unit<DIM, TYPE>(a, query, unit);
		__syncthreads(); // the next one writes to shared memory
	}
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
