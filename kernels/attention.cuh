// What the kernels of attention share: what a query sees, and its scores.
#pragma once
#include "cache.cuh"
#include "fault.cuh"

// lowest is below every score: nothing was seen. It is finite, so that weights
// need no case for it.
const float lowest = -1e30f;
const float log2e = 1.44269504f;

// Scores are powers of two: q·k is multiplied by score_factor(…), and then goes
// through capped where there is a softcap: softcap·tanh(s/softcap).
DEVICE float score_factor(float scale, float softcap) { return softcap != 0 ? __fdividef(scale * (2 * log2e), softcap) : scale * log2e; }
DEVICE float capped(float s, float softcap) {
	softcap *= log2e;
	return softcap - __fdividef(2 * softcap, ex2(s) + 1);
}

// A Sight is the positions that a query sees: [from, to).
struct Sight {
	int from, to;
};

// sight_of is that of a query at position `pos` of a batch whose last one is
// `latest`: the cache holds the positions that are fewer than `rows` before it.
DEVICE Sight sight_of(int pos, int latest, int rows, int window) {
	int from = max(0, latest - rows + 1);
	if (window > 0) from = max(from, pos - window + 1);
	return {from, max(pos + 1, from)};
}

// A sequence is where its keys are: rows from `base` on of a cache of `total`
// numbers. number -1 is none.
struct Sequence {
	int number;
	int64_t base, total; // rows; numbers
};

// sequence_of is that of query i; others than those of the cache are reported.
DEVICE Sequence sequence_of(const int32_t *seq, int i, int seqs, int rows, int cols, uint64_t fault) {
	int s = seq ? seq[i] : 0;
	if (s < -1 || s >= seqs) {
		report(fault, FAULT_SEQUENCE, s);
		s = -1;
	}
	return {s, s < 0 ? 0 : (int64_t)s * rows, (int64_t)seqs * rows * cols};
}

// scales_of is `total` for cache_scale of a cache of q8_0 that begins with a
// sequence's numbers, of rows of cols.
DEVICE int64_t scales_of(const Sequence &s, int cols) { return s.total - s.base * cols / 16 * 15; }

// latest_of is the largest of n positions, of those of sequence `own` if there
// is seq, for a whole block; negative ones are reported. memory has 32 numbers
// for it, which are free after the next barrier.
DEVICE int latest_of(const int32_t *pos, int n, uint64_t fault, int *memory, const int32_t *seq = nullptr, int own = 0) {
	int latest = 0;
	for (int i = threadIdx.x; i < n; i += blockDim.x) {
		if (pos[i] < 0) report(fault, FAULT_POSITION, pos[i]);
		if (seq && seq[i] != own) continue;
		latest = max(latest, pos[i]);
	}
	for (int i = 16; i > 0; i /= 2) latest = max(latest, __shfl_xor_sync(full_warp, latest, i));
	if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = latest;
	__syncthreads();
	for (int i = 0; i < blockDim.x / 32; i++) latest = max(latest, memory[i]);
	return latest;
}
