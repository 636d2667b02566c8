// attention_any: dst (n, heads, dim) = softmax(q·kᵀ·scale)·v for heads and
// caches that attention.cu and decode.cu are not made for: up to 512 numbers,
// caches of every type.
//
// Launch: a block of 8 warps a query head of a query. A warp takes every eighth
// four of the keys, its lanes the numbers of a head. All in f32, and correct
// rather than fast: keys and values are read once for every head.
#include "attention.cuh"

struct AttentionAnyArgs {
	const float *q; // (n, heads, dim)
	char *k, *v;    // caches (seqs·rows, heads/group·dim)
	const int32_t *pos;
	const int32_t *seq; // (n), or null
	float *dst;
	uint64_t fault;
	int32_t n, heads, group, dim, seqs, rows, window;
	float scale, softcap;
	int32_t pad;
};

const int ANY_WARPS = 8, ANY_PARTS = 16; // parts of 32 numbers

template <int TYPE> DEVICE float number(const char *cache, int64_t i, int64_t total) {
	const char *p = cache_at<TYPE>((char *)cache, i);
	if constexpr (TYPE == CACHE_F32) return *(const float *)p;
	if constexpr (TYPE == CACHE_F16) return h2f(*(const uint16_t *)p);
	if constexpr (TYPE == CACHE_BF16) return bf2f(*(const uint16_t *)p);
	if constexpr (TYPE == CACHE_Q8_0) return *(const int8_t *)p * h2f(*(const uint16_t *)cache_scale((char *)cache, i, total));
}

template <int TYPE> DEVICE void attention_any(const AttentionAnyArgs &a) {
	SHARED int memory[32];
	SHARED float2 best[ANY_WARPS];
	SHARED float sums[ANY_WARPS][32 * ANY_PARTS];
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, query = blockIdx.x / a.heads, head = blockIdx.x - query * a.heads;
	int64_t cols = (int64_t)(a.heads / a.group) * a.dim;
	Sequence own = sequence_of(a.seq, query, a.seqs, a.rows, cols, a.fault);
	Sight s = sight_of(a.pos[query], latest_of(a.pos, a.n, a.fault, memory, a.seq, own.number), a.rows, a.window);
	if (own.number < 0) s.to = s.from;
	int64_t total = own.total, first = own.base * cols + head / a.group * a.dim;

	float q[ANY_PARTS], sum[ANY_PARTS], top = lowest, all = 0, scale = score_factor(a.scale, a.softcap);
#pragma unroll
	for (int i = 0; i < ANY_PARTS; i++) {
		int d = lane + 32 * i;
		sum[i] = 0, q[i] = d < a.dim ? a.q[(int64_t)blockIdx.x * a.dim + d] * scale : 0;
	}
	for (int p = s.from + 4 * warp; p < s.to; p += 4 * ANY_WARPS) {
		float score[4] = {}, higher = top;
		int64_t at[4];
#pragma unroll
		for (int j = 0; j < 4; j++) {
			at[j] = min(p + j, s.to - 1) % a.rows * cols + first + lane;
#pragma unroll
			for (int i = 0; i < ANY_PARTS; i++)
				if (lane + 32 * i < a.dim) score[j] += q[i] * number<TYPE>(a.k, at[j] + 32 * i, total);
		}
#pragma unroll
		for (int j = 0; j < 4; j++) {
			score[j] = warp_sum(score[j]);
			if (a.softcap != 0) score[j] = capped(score[j], a.softcap);
			if (p + j >= s.to) score[j] = negative_infinity();
			higher = fmaxf(higher, score[j]);
		}
		float less = ex2(top - higher);
		top = higher, all *= less;
#pragma unroll
		for (int i = 0; i < ANY_PARTS; i++) sum[i] *= less;
#pragma unroll
		for (int j = 0; j < 4; j++) {
			float w = ex2(score[j] - top);
			all += w;
#pragma unroll
			for (int i = 0; i < ANY_PARTS; i++)
				if (p + j < s.to && lane + 32 * i < a.dim) sum[i] += w * number<TYPE>(a.v, at[j] + 32 * i, total);
		}
	}
	if (lane == 0) best[warp] = make_float2(top, all);
#pragma unroll
	for (int i = 0; i < ANY_PARTS; i++) sums[warp][lane + 32 * i] = sum[i];
	__syncthreads();
	top = lowest, all = 0;
	for (int i = 0; i < ANY_WARPS; i++) top = fmaxf(top, best[i].x);
	for (int i = 0; i < ANY_WARPS; i++) all += best[i].y * ex2(best[i].x - top);
	for (int d = threadIdx.x; d < a.dim; d += 32 * ANY_WARPS) {
		float out = 0;
		for (int i = 0; i < ANY_WARPS; i++) out += sums[i][d] * ex2(best[i].x - top);
		a.dst[(int64_t)blockIdx.x * a.dim + d] = all > 0 ? out / all : 0;
	}
}

KERNEL(attention_any_f32, AttentionAnyArgs, 256, 1) { attention_any<CACHE_F32>(a); }
KERNEL(attention_any_f16, AttentionAnyArgs, 256, 1) { attention_any<CACHE_F16>(a); }
KERNEL(attention_any_bf16, AttentionAnyArgs, 256, 1) { attention_any<CACHE_BF16>(a); }
KERNEL(attention_any_q8_0, AttentionAnyArgs, 256, 1) { attention_any<CACHE_Q8_0>(a); }
