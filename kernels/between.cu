// What lies between the products of a step of several texts (fuse_few.go), a
// kernel each. They add a product's parts (parts.cuh) where they read them, and
// leave the next product's input as f16 (activations.cu) where it is one. Rows
// know nothing of each other.
//
// between_norm: x += [norm of] (y + bias); h = RMSNorm(x)·weight
// between_glu: dst = fn(gate)·up, fn x·sigmoid of something
// between_heads: q and k = RoPE of [norms of] their heads, with biases; k and v go
// into their caches
//
// Launch: norm and glu a block a row, of as many threads as there are groups of
// four numbers, up to 1024, each with V groups; heads a warp a head, four a
// block, PAIRS·64 numbers or fewer. Bound by latency: the launch before, one
// round of loads, one sum over the block; glu, of 14336 columns in two parts, by
// the 230 KB that an SM reads.
// measured (H200, 2026-11-28, ncu, eight rows of Llama-3.2-1B): norm 4.5 µs, heads 4.0, glu 5.1
#include "cache.cuh"
#include "fault.cuh"
#include "function.cuh"
#include "parts.cuh"
#include "rope.cuh"

struct BetweenNorm {
	Parts y;         // (n, cols) that x gets; at 0: nothing
	uint64_t bias;   // f32 (cols) of y, or 0
	uint64_t post;   // f32 (cols), or 0: y gets no norm
	uint64_t x;      // f32 (n, cols)
	uint64_t weight; // f32 (cols), or 0: x gets no norm
	uint64_t h;      // f32 (n, cols), or 0
	uint64_t to;     // f16 (n, cols), or 0
	uint64_t scale;  // f32 (n)
	int32_t cols;    // a multiple of 32
	float post_eps, eps;
	int32_t pad;
};

struct BetweenGLU {
	Parts gate, up;
	uint64_t dst;   // f32 (n, cols), or 0
	uint64_t to;    // f16 (n, cols), or 0
	uint64_t scale; // f32 (n)
	int32_t cols;   // a multiple of 32
	int32_t fn;     // FN_SILU, FN_GELU
};

struct BetweenHeads {
	Parts q, k, v;
	uint64_t q_bias, k_bias, v_bias; // f32, or 0
	uint64_t q_norm, k_norm;         // f32 (dim), or 0
	uint64_t turns;                  // rope.cuh's table
	uint64_t dst;                    // f32 (n, heads, dim): q
	uint64_t k_cache, v_cache;       // (seqs·rows, kv_heads·dim)
	uint64_t pos, seq;               // i32 (n); seq may be 0: all of sequence 0
	uint64_t fault;
	int32_t seqs, rows;              // of the caches
	int32_t heads, kv_heads, dim;
	int32_t rope, neox;              // numbers of a head that are turned; pairs (i, i+rope/2) or (2i, 2i+1)
	int32_t type;                    // of the caches
	float mul, eps;
	int32_t early;                   // no kernel of the step writes positions and sequences
};

DEVICE float4 weights4(uint64_t p, int i) {
	uint4 v = load16((const float4 *)p + i);
	return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), __uint_as_float(v.w));
}
DEVICE float4 times(float4 v, float f) { return make_float4(v.x * f, v.y * f, v.z * f, v.w * f); }
DEVICE float4 times(float4 v, float4 w) { return make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w); }
DEVICE float4 plus(float4 v, float4 w) { return make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w); }
DEVICE float squares(float4 v) { return (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w); }

// over is the sum and the maximum of what a block's threads have. memory is used
// once.
DEVICE float2 over(float sum, float most, float2 *memory) {
	int lane = threadIdx.x % 32;
	sum = warp_sum(sum), most = warp_max(most);
	if (lane == 0) memory[threadIdx.x / 32] = make_float2(sum, most);
	__syncthreads();
	float2 v = lane < (int)blockDim.x / 32 ? memory[lane] : make_float2(0, 0);
	return make_float2(warp_sum(v.x), warp_max(v.y));
}

// A thread's groups are i, i+blockDim, …; past the row there are zeros.
template <int V> DEVICE void between_norm(const BetweenNorm &a) {
	SHARED float2 first[32], second[32];
	const int row = blockIdx.x, quads = a.cols / 4;
	const float4 zero = make_float4(0, 0, 0, 0);
	constexpr bool early = V <= 2; // there are registers for weights beside all else
	float4 bias[V], post[V], weight[V], x[V], y[V];
	auto fetch = [&](float4 *w, uint64_t p) {
#pragma unroll
		for (int v = 0; v < V; v++) {
			int i = threadIdx.x + v * blockDim.x;
			w[v] = p && i < quads ? weights4(p, i) : zero;
		}
	};
	if (early) fetch(bias, a.bias), fetch(post, a.post), fetch(weight, a.weight);
	const PartRow part = part_row(a.y, row);
	await_before();
	float4 *stream = (float4 *)a.x + (int64_t)row * quads;
#pragma unroll
	for (int v = 0; v < V; v++) {
		int i = threadIdx.x + v * blockDim.x;
		x[v] = i < quads ? stream[i] : zero;
	}
	if (a.y.at) {
		const float scale = scale_of(part);
		float square = 0;
		if (!early) fetch(bias, a.bias);
#pragma unroll
		for (int v = 0; v < V; v++) {
			int i = threadIdx.x + v * blockDim.x;
			y[v] = i < quads ? times(quad<8 / V>(part, i), scale) : zero;
			if (a.bias) y[v] = plus(y[v], bias[v]);
			square += squares(y[v]);
		}
		if (a.post) {
			if (!early) fetch(post, a.post);
			float f = rsqrtf(over(square, 0, first).x / a.cols + a.post_eps);
#pragma unroll
			for (int v = 0; v < V; v++) y[v] = times(times(y[v], f), post[v]);
		}
#pragma unroll
		for (int v = 0; v < V; v++) {
			int i = threadIdx.x + v * blockDim.x;
			x[v] = plus(x[v], y[v]);
			if (i < quads) stream[i] = x[v];
		}
	}
	if (!a.weight) return;
	if (!early) fetch(weight, a.weight);
	float square = 0, most = 0;
#pragma unroll
	for (int v = 0; v < V; v++) square += squares(x[v]), most = fmaxf(most, largest_of(times(x[v], weight[v])));
	float2 all = over(square, most, second);
	float f = rsqrtf(all.x / a.cols + a.eps);
	int e = input_exponent(all.y * f); // of the largest within rounding
#pragma unroll
	for (int v = 0; v < V; v++) {
		int i = threadIdx.x + v * blockDim.x;
		if (i >= quads) break;
		float4 h = times(times(x[v], f), weight[v]);
		if (a.h) ((float4 *)a.h)[(int64_t)row * quads + i] = h;
		if (a.to) put_input(a.to, (int64_t)row * quads + i, h, input_inverse(e));
	}
	if (a.to && threadIdx.x == 0) ((float *)a.scale)[row] = input_scale(e);
}

// gated is fn(gate)·up.
DEVICE float gated(int fn, float gate, float up) {
	float x = fn == FN_GELU ? 1.5957691216057308f * (gate + 0.044715f * gate * gate * gate) : gate;
	return gate * __fdividef(1, 1 + expf(-x)) * up;
}

template <int V> DEVICE void between_glu(const BetweenGLU &a) {
	SHARED float2 memory[32];
	const int row = blockIdx.x, quads = a.cols / 4;
	const PartRow gate = part_row(a.gate, row), up = part_row(a.up, row);
	await_before();
	const float by_gate = scale_of(gate), by_up = scale_of(up);
	float4 y[V];
	float most = 0;
#pragma unroll
	for (int v = 0; v < V; v++) {
		int i = threadIdx.x + v * blockDim.x;
		y[v] = make_float4(0, 0, 0, 0);
		if (i >= quads) continue;
		float4 g = times(quad<2>(gate, i), by_gate), u = times(quad<2>(up, i), by_up);
		y[v] = make_float4(gated(a.fn, g.x, u.x), gated(a.fn, g.y, u.y), gated(a.fn, g.z, u.z), gated(a.fn, g.w, u.w));
		most = fmaxf(most, largest_of(y[v]));
	}
	int e = input_exponent(over(0, most, memory).y);
#pragma unroll
	for (int v = 0; v < V; v++) {
		int i = threadIdx.x + v * blockDim.x;
		if (i >= quads) break;
		if (a.dst) ((float4 *)a.dst)[(int64_t)row * quads + i] = y[v];
		if (a.to) put_input(a.to, (int64_t)row * quads + i, y[v], input_inverse(e));
	}
	if (a.to && threadIdx.x == 0) ((float *)a.scale)[row] = input_scale(e);
}

const int BETWEEN_HEADS = 4; // of a block

// put_cached writes a head's numbers, which are in memory, to number `to` on of a
// cache (cache.cuh) of `total`.
template <int TYPE> DEVICE void put_cached(char *cache, int64_t to, int64_t total, const float *x, int dim) {
	for (int d = threadIdx.x % 32; d < dim; d += 32) {
		char *p = cache_at<TYPE>(cache, to + d);
		if constexpr (TYPE == CACHE_F32) *(float *)p = x[d];
		if constexpr (TYPE == CACHE_F16) *(uint16_t *)p = f2h(x[d]);
		if constexpr (TYPE == CACHE_BF16) *(uint16_t *)p = f2bf(x[d]);
		if constexpr (TYPE == CACHE_Q8_0) { // dim is a multiple of 32
			float inverse, scale = q8_scale(x[d], &inverse);
			*(int8_t *)p = q8_number(x[d], inverse);
			if (threadIdx.x % 32 == 0) *(uint16_t *)cache_scale(cache, to + d, total) = f2h(scale);
		}
	}
}

template <int PAIRS> DEVICE void between_heads(const BetweenHeads &a) {
	SHARED float memory[BETWEEN_HEADS][64 * PAIRS];
	const int lane = threadIdx.x % 32, row = blockIdx.y;
	int head = blockIdx.x * BETWEEN_HEADS + threadIdx.x / 32;
	if (head >= a.heads + 2 * a.kv_heads) return;
	const bool is_q = head < a.heads, is_v = head >= a.heads + a.kv_heads;
	if (!is_q) head -= is_v ? a.heads + a.kv_heads : a.heads;
	const uint64_t bias = is_q ? a.q_bias : is_v ? a.v_bias : a.k_bias, norm = is_q ? a.q_norm : is_v ? 0 : a.k_norm;

	// A lane has the pairs lane, lane+32, … that are turned together.
	float x[PAIRS][2], b[PAIRS][2], w[PAIRS][2];
	float2 turn[PAIRS]; // per position; then the angle
	int2 at[PAIRS];
#pragma unroll
	for (int i = 0; i < PAIRS; i++) {
		int pair = lane + 32 * i;
		at[i] = a.neox && pair < a.rope / 2 ? make_int2(pair, pair + a.rope / 2) : make_int2(2 * pair, 2 * pair + 1);
		x[i][0] = x[i][1] = b[i][0] = b[i][1] = 0, w[i][0] = w[i][1] = 1, turn[i] = make_float2(0, 0);
		if (pair >= a.dim / 2) continue;
		if (bias) {
			const float *p = (const float *)bias + head * a.dim;
			b[i][0] = __uint_as_float(load4(p + at[i].x)), b[i][1] = __uint_as_float(load4(p + at[i].y));
		}
		if (norm) w[i][0] = __uint_as_float(load4((const float *)norm + at[i].x)), w[i][1] = __uint_as_float(load4((const float *)norm + at[i].y));
		if (!is_v && pair < a.rope / 2) {
			uint2 t = load8((const float2 *)a.turns + pair);
			turn[i] = make_float2(__uint_as_float(t.x), __uint_as_float(t.y));
		}
	}
	PartRow part = part_row(is_q ? a.q : is_v ? a.v : a.k, row);
	part.first += head * a.dim;
	int pos, seq, slot; // slot: row of the sequence's cache
	auto place = [&] {
		pos = ((const int32_t *)a.pos)[row], seq = a.seq ? ((const int32_t *)a.seq)[row] : 0, slot = max(pos, 0) % a.rows;
#pragma unroll
		for (int i = 0; i < PAIRS; i++)
			if (!is_v && lane + 32 * i < a.rope / 2) turn[i] = rope_angle(turn[i], max(pos, 0));
	};
	if (a.early) place();
	await_before();
	if (!a.early) place();
	const float scale = scale_of(part);
	float square = 0;
#pragma unroll
	for (int i = 0; i < PAIRS; i++) {
		if (lane + 32 * i >= a.dim / 2) continue;
		x[i][0] = added(part, at[i].x) * scale, x[i][1] = added(part, at[i].y) * scale;
		if (bias) x[i][0] += b[i][0], x[i][1] += b[i][1];
		square += x[i][0] * x[i][0] + x[i][1] * x[i][1];
	}
	if (norm) {
		float f = rsqrtf(warp_sum(square) / a.dim + a.eps);
#pragma unroll
		for (int i = 0; i < PAIRS; i++) x[i][0] = x[i][0] * f * w[i][0], x[i][1] = x[i][1] * f * w[i][1];
	}
	if (pos < 0 && lane == 0) report(a.fault, FAULT_POSITION, pos);
	if (!is_v) {
#pragma unroll
		for (int i = 0; i < PAIRS; i++) {
			if (lane + 32 * i >= a.rope / 2) continue;
			float2 y = turned(x[i][0], x[i][1], make_float2(turn[i].x * a.mul, turn[i].y * a.mul));
			x[i][0] = y.x, x[i][1] = y.y;
		}
	}
	float *to = is_q ? (float *)a.dst + ((int64_t)row * a.heads + head) * a.dim : memory[threadIdx.x / 32];
#pragma unroll
	for (int i = 0; i < PAIRS; i++)
		if (lane + 32 * i < a.dim / 2) to[at[i].x] = x[i][0], to[at[i].y] = x[i][1];
	if (is_q) return;
	if (seq < -1 || seq >= a.seqs) {
		if (lane == 0) report(a.fault, FAULT_SEQUENCE, seq);
		return;
	}
	if (seq < 0 || pos < 0) return;
	__syncwarp();
	char *cache = (char *)(is_v ? a.v_cache : a.k_cache);
	const int64_t cols = a.kv_heads * a.dim, number = ((int64_t)seq * a.rows + slot) * cols + head * a.dim, total = (int64_t)a.seqs * a.rows * cols;
	switch (a.type) {
	case CACHE_F32: return put_cached<CACHE_F32>(cache, number, total, to, a.dim);
	case CACHE_F16: return put_cached<CACHE_F16>(cache, number, total, to, a.dim);
	case CACHE_BF16: return put_cached<CACHE_BF16>(cache, number, total, to, a.dim);
	case CACHE_Q8_0: return put_cached<CACHE_Q8_0>(cache, number, total, to, a.dim);
	}
}

EARLY_KERNEL(between_norm_1, BetweenNorm, 1024, 1) { between_norm<1>(a); }
EARLY_KERNEL(between_norm_2, BetweenNorm, 1024, 1) { between_norm<2>(a); }
EARLY_KERNEL(between_norm_4, BetweenNorm, 1024, 1) { between_norm<4>(a); }
EARLY_KERNEL(between_glu_1, BetweenGLU, 1024, 1) { between_glu<1>(a); }
EARLY_KERNEL(between_glu_2, BetweenGLU, 1024, 1) { between_glu<2>(a); }
EARLY_KERNEL(between_glu_4, BetweenGLU, 1024, 1) { between_glu<4>(a); }
EARLY_KERNEL(between_glu_8, BetweenGLU, 1024, 1) { between_glu<8>(a); }
EARLY_KERNEL(between_heads_1, BetweenHeads, 32 * BETWEEN_HEADS, 1) { between_heads<1>(a); }
EARLY_KERNEL(between_heads_2, BetweenHeads, 32 * BETWEEN_HEADS, 1) { between_heads<2>(a); }
EARLY_KERNEL(between_heads_4, BetweenHeads, 32 * BETWEEN_HEADS, 1) { between_heads<4>(a); }
