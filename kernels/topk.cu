// topk: vals (rows, k) f32 and ids (rows, k) i32 = the k largest numbers of each
// row of x (rows, cols) f32 and their indices, the largest first, equal ones in
// the order of their indices. NaN counts as -Inf.
//
// A block sorts a part of a row by its keys (bitonic, K. Batcher 1968) and keeps
// k of them; further rounds take the keys that parts have kept, until one
// part is left. Launch: 1024 threads, a block a part of 4096.
// Bound: the 78 steps of a sort.
// measured: 54 µs for 64 of 128,256, launch included (H200, 2026-11-23)
#include "rank.cuh"

struct TopK {
	uint64_t vals, ids;
	uint64_t x;    // (rows, cols) float: the first round
	uint64_t from; // (rows, cols) keys: other rounds
	uint64_t to;   // (rows, parts, k) keys; none: the last round
	int32_t cols, k;
	int32_t parts; // of a row
	int32_t pad;
};

const int sorted_at_once = 4096;

// sort puts n keys, a power of two, in order, the largest first. Steps of up to
// 32 stay within the 64 keys of a warp.
DEVICE void sort(uint64_t *key, int n) {
	for (int run = 2; run <= n; run *= 2) {
		for (int step = run / 2; step > 0; step /= 2) {
			for (int i = threadIdx.x; i < n / 2; i += blockDim.x) {
				int low = 2 * i - (i & (step - 1));
				uint64_t p = key[low], q = key[low + step];
				bool falling = (low & run) == 0;
				if ((p < q) == falling) key[low] = q, key[low + step] = p;
			}
			if (step > 32 || step == 1 && run >= 64) __syncthreads();
			else __syncwarp();
		}
	}
}

KERNEL(topk, TopK, 1024, 1) {
	SHARED uint64_t key[sorted_at_once];
	int64_t row = blockIdx.x / a.parts;
	int first = blockIdx.x % a.parts * sorted_at_once;
	int count = a.cols - first < sorted_at_once ? a.cols - first : sorted_at_once;
	int n = 64; // what is sorted: the count, filled up
	while (n < count) n *= 2;
	const float *x = (const float *)a.x + row * a.cols + first;
	const uint64_t *from = (const uint64_t *)a.from + row * a.cols + first;
	for (int i = threadIdx.x; i < n; i += blockDim.x) {
		uint64_t k = 0;
		if (i < count) {
			if (a.from) k = from[i];
			else k = rank_key(x[i] == x[i] ? x[i] : __uint_as_float(0xff800000), first + i);
		}
		key[i] = k;
	}
	__syncthreads();
	sort(key, n);
	__syncthreads();
	for (int i = threadIdx.x; i < a.k; i += blockDim.x) {
		uint64_t k = i < n ? key[i] : 0;
		if (a.to) {
			((uint64_t *)a.to)[(int64_t)blockIdx.x * a.k + i] = k;
		} else {
			((float *)a.vals)[row * a.k + i] = rank_value(k);
			((int32_t *)a.ids)[row * a.k + i] = rank_index(k);
		}
	}
}
