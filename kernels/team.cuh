// Rows and the threads that work on them: a team is a warp for short rows, the
// block for long ones. What a team computes does not depend on which it is
// more than rounding does.
#pragma once
#include "cuda.cuh"

struct Team {
	int64_t row;
	int rank, size; // of this thread among the team's; how many they are
};

// team finds a thread's: `lanes` is 32 or blockDim.x, a multiple of 32.
DEVICE Team team(int32_t lanes) {
	Team t;
	t.size = lanes;
	if (lanes == 32) {
		t.row = (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
		t.rank = threadIdx.x % 32;
	} else {
		t.row = blockIdx.x;
		t.rank = threadIdx.x;
	}
	return t;
}

// joined is what join makes of the values of all threads of a team; all of
// them get it. Joining with zero changes nothing.
template <class V, class F> DEVICE V joined(const Team &t, V v, V zero, F join) {
#pragma unroll 1
	for (int i = 16; i > 0; i /= 2) v = join(v, __shfl_xor_sync(full_warp, v, i));
	if (t.size == 32) return v;
	SHARED V part[32];
	int lane = threadIdx.x % 32;
	if (lane == 0) part[threadIdx.x / 32] = v;
	__syncthreads();
	v = lane < t.size / 32 ? part[lane] : zero;
#pragma unroll 1
	for (int i = 16; i > 0; i /= 2) v = join(v, __shfl_xor_sync(full_warp, v, i));
	__syncthreads(); // part is free again
	return v;
}

template <class V> DEVICE V team_sum(const Team &t, V v) {
	return joined(t, v, (V)0, [](V a, V b) { return a + b; });
}

// team_max passes NaN over.
DEVICE float team_max(const Team &t, float v) {
	return joined(t, v, -__int_as_float(0x7f800000), [](float a, float b) { return fmaxf(a, b); });
}

// Numbers of a row, one or four at a time.
DEVICE float total(float v) { return v; }
DEVICE float total(float4 v) { return (v.x + v.y) + (v.z + v.w); }
DEVICE float largest(float v) { return v; }
DEVICE float largest(float4 v) { return fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)); }
template <class F> DEVICE float each(float v, F f) { return f(v); }
template <class F> DEVICE float4 each(float4 v, F f) { return make_float4(f(v.x), f(v.y), f(v.z), f(v.w)); }
template <class F> DEVICE float both(float a, float b, F f) { return f(a, b); }
template <class F> DEVICE float4 both(float4 a, float4 b, F f) {
	return make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w));
}
