// Kernels for emulator_test.go: blocks, grids, and mistakes.
#include "cuda.cuh"

struct Data {
	uint64_t in, other, out;
	int32_t n, which;
};

// out[block] is the sum of the block's part of in.
KERNEL(sums, Data, 1024, 1) {
	float *s = (float *)dynamic_shared();
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	s[threadIdx.x] = i < a.n ? ((const float *)a.in)[i] : 0;
	for (int k = blockDim.x / 2; k > 0; k /= 2) {
		__syncthreads();
		if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
	}
	if (threadIdx.x == 0) ((float *)a.out)[blockIdx.x] = s[0];
}

// Threads reversed within the block; which 1 forgets the barrier.
KERNEL(reverse, Data, 1024, 1) {
	SHARED float s[1024];
	int t = threadIdx.x, n = blockDim.x;
	s[t] = ((const float *)a.in)[blockIdx.x * n + t];
	if (a.which == 0) __syncthreads();
	((float *)a.out)[blockIdx.x * n + t] = s[n - 1 - t];
}

// Votes of a block: out gets count, and, or of thread < n.
KERNEL(votes, Data, 256, 1) {
	int p = threadIdx.x < a.n;
	int count = __syncthreads_count(p), all = __syncthreads_and(p), any = __syncthreads_or(p);
	if (threadIdx.x == blockDim.x - 1) ((int *)a.out)[0] = count, ((int *)a.out)[1] = all, ((int *)a.out)[2] = any;
}

// All threads of all blocks add 1 (and their number) to out.
KERNEL(counters, Data, 256, 1) {
	uint32_t *n = (uint32_t *)a.out;
	atomicAdd(n, 1u);
	atomicMax(n + 1, blockIdx.x * blockDim.x + threadIdx.x);
	atomicAdd((float *)(n + 2), 0.5f);
	atomicAdd((unsigned long long *)(n + 4), 1ull << 32);
	atomicCAS(n + 6, 0u, 77u);
	SHARED uint32_t s;
	if (threadIdx.x == 0) s = 0;
	__syncthreads();
	atomicAdd(&s, 2u);
	__syncthreads();
	if (threadIdx.x == 0) atomicAdd(n + 7, s);
}

// Index arithmetic of three dimensions: out[linear thread of the grid] is set.
KERNEL(dimensions, Data, 1024, 1) {
	int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
	int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
	((int *)a.out)[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

// A grid that waits for all its blocks n times; each round adds what the others
// wrote in the one before. other is the barrier's counter, zero.
KERNEL(rounds, Data, 64, 1) {
	uint32_t *arrived = (uint32_t *)a.other;
	float *out = (float *)a.out;
	int blocks = gridDim.x;
	for (int r = 0; r < a.n; r++) {
		float *from = out + r % 2 * blocks, *to = out + (r + 1) % 2 * blocks;
		if (threadIdx.x == 0) {
			float sum = 0;
			for (int i = 0; i < blocks; i++) sum += load_fresh(from + i);
			to[blockIdx.x] = sum / blocks + 1;
			__threadfence();
			atomicAdd(arrived, 1);
			while (look(arrived) < (uint32_t)(blocks * (r + 1))) pause();
			__threadfence();
		}
		__syncthreads();
	}
}

// Asynchronous copies of n groups of 16 bytes a thread, of which all but `which`
// are waited for; -1 waits for none.
KERNEL(copies, Data, 32, 1) {
	SHARED __align__(16) float s[4 * 32 * 4];
	int t = threadIdx.x;
	for (int g = 0; g < 4; g++) {
		cp_async16(s + (g * 32 + t) * 4, (const float *)a.in + (g * 32 + t) * 4);
		cp_async_commit();
	}
	if (a.which == 0) cp_async_wait<0>();
	if (a.which == 2) cp_async_wait<2>();
	for (int g = 0; g < 4; g++)
		for (int i = 0; i < 4; i++) ((float *)a.out)[(g * 32 + t) * 4 + i] = s[(g * 32 + t) * 4 + i];
}

// Reads memory that nobody wrote: fresh memory, both sorts of shared memory.
KERNEL(unwritten, Data, 32, 1) {
	SHARED float s[32];
	float *out = (float *)a.out;
	out[threadIdx.x] = ((const float *)a.in)[threadIdx.x];
	out[32 + threadIdx.x] = s[threadIdx.x];
	out[64 + threadIdx.x] = ((float *)dynamic_shared())[threadIdx.x];
	s[threadIdx.x] = 1; // the next block must not see it
	((float *)dynamic_shared())[threadIdx.x] = 1;
}

__noinline__ int deep(volatile int *p, int n) {
	volatile int room[256];
	room[n % 256] = n;
	return n == 0 ? 0 : deep(room, n - 1) + room[n % 256] + *p;
}

// One mistake by one thread.
KERNEL(mistake, Data, 64, 1) {
	float *in = (float *)a.in, *out = (float *)a.out;
	SHARED float s[8];
	int t = threadIdx.x;
	s[t % 8] = 0;
	switch (a.which) {
	case 0: // half of the block has ended
		if (t >= 32) return;
		__syncthreads();
		break;
	case 1: // a lane is missing
		if (t != 7) __syncwarp();
		__syncthreads();
		break;
	case 2:
		if (t == 3) out[0] = in[a.n];
		break;
	case 3:
		if (t == 3) *(float4 *)((char *)out + 4) = float4{1, 2, 3, 4};
		break;
	case 4:
		if (t == 3) s[a.n] = 1;
		break;
	case 5:
		if (t == 3) ((uint32_t *)out)[0] = 1u << a.n;
		break;
	case 6:
		if (t == 3) ((float *)dynamic_shared())[a.n] = 1;
		break;
	case 7:
		if (t == 3) out[0] = *(float *)a.other;
		break;
	case 8:
		if (t == 3) ((int *)out)[0] = 7 / (a.n - 40);
		break;
	case 9:
		if (t == 3) ((int *)out)[0] = deep((volatile int *)in, 1000);
		break;
	case 10: // different operations
		if (t % 2) __syncwarp();
		else __shfl_sync(full_warp, t, 0);
		break;
	case 11: // its own lane is not in the mask
		__syncwarp(0xfffffffe);
		break;
	case 12:
		__trap();
	case 13: // waits for what does not come
		while (look(in) != 12345) pause();
		break;
	case 14: // a little past the end
		if (t == 3) in[a.n] = 1;
		break;
	case 15: // two barriers
		if (t < 32) __syncthreads();
		else __syncthreads_or(1);
		break;
	case 16:
		if (t == 3) load16((char *)in + 8);
		break;
	case 17:
		if (t < 32) cp_async16(dynamic_shared() + 8, in);
		break;
	}
}
