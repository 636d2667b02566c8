// store: row i of x (n, cols) f32 into row pos[i] mod rows of its sequence in a
// cache (seqs·rows, cols), in the cache's type (cache.cuh).
//
// Launch: a thread a number, 256 a block; cols is a multiple of 32 for q8_0.
// Bound by the launch: a token's keys are a few kilobytes.
#include "cache.cuh"
#include "fault.cuh"

struct StoreArgs {
	char *cache;
	const float *x;
	const int32_t *pos; // (n)
	const int32_t *seq; // (n), or null: all of sequence 0; -1 is none
	uint64_t fault;
	int64_t seqs, rows, cols, n;
};

template <int TYPE> DEVICE void store(const StoreArgs &a) {
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
	bool in = i < a.n * a.cols;
	int64_t from = in ? i / a.cols : 0, col = in ? i - from * a.cols : 0;
	int pos = a.pos[from], seq = a.seq ? a.seq[from] : 0;
	float x = in ? a.x[i] : 0, d = 0, inverse = 0;
	if constexpr (TYPE == CACHE_Q8_0) d = q8_scale(x, &inverse);
	if (!in) return;
	if (pos < 0) {
		report(a.fault, FAULT_POSITION, pos);
		return;
	}
	if (seq < 0 || seq >= a.seqs) {
		if (seq != -1) report(a.fault, FAULT_SEQUENCE, seq);
		return;
	}
	int64_t to = (seq * a.rows + pos % a.rows) * a.cols + col;
	char *p = cache_at<TYPE>(a.cache, to);
	if constexpr (TYPE == CACHE_F32) *(float *)p = x;
	if constexpr (TYPE == CACHE_F16) *(uint16_t *)p = f2h(x);
	if constexpr (TYPE == CACHE_BF16) *(uint16_t *)p = f2bf(x);
	if constexpr (TYPE == CACHE_Q8_0) {
		*(int8_t *)p = q8_number(x, inverse);
		if (col % 32 == 0) *(uint16_t *)cache_scale(a.cache, to, a.seqs * a.rows * a.cols) = f2h(d);
	}
}

KERNEL(store_f32, StoreArgs, 256, 4) { store<CACHE_F32>(a); }
KERNEL(store_f16, StoreArgs, 256, 4) { store<CACHE_F16>(a); }
KERNEL(store_bf16, StoreArgs, 256, 4) { store<CACHE_BF16>(a); }
KERNEL(store_q8_0, StoreArgs, 256, 4) { store<CACHE_Q8_0>(a); }
