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

// latest_of is the largest of n positions, for a whole block; negative ones are
// reported. memory has 32 numbers for it, which are free after the next barrier.
DEVICE int latest_of(const int32_t *pos, int n, uint64_t fault, int *memory) {
	int latest = 0;
	for (int i = threadIdx.x; i < n; i += blockDim.x) {
		if (pos[i] < 0) report(fault, FAULT_POSITION, pos[i]);
		latest = max(latest, pos[i]);
	}
	for (int i = 16; i > 0; i /= 2) latest = max(latest, __shfl_xor_sync(full_warp, latest, i));
	if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = latest;
	__syncthreads();
	for (int i = 0; i < blockDim.x / 32; i++) latest = max(latest, memory[i]);
	return latest;
}
