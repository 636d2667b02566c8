// A product of packed weights with one row of activations: y = W·x, with what
// comes before it (sums, a norm) and after (bias, residual, GLU, the best row).
//
// It is bound by reading W once, so everything serves the flow of weights
// (flow.cuh). A block takes units of 16 rows, and its warps share the columns of
// a unit (dot.cuh). The next items are on their way meanwhile: on sm_80 and
// newer into a ring in shared memory (cp.async) where there is room for one,
// else into registers.
#pragma once
#include "adapted.cuh"
#include "quantise.cuh"

// What code runs once in a stage is kept short, and loops there are not
// unrolled: it is cold, and a block waits for its instructions.

// copy_words copies by all threads of the block; no barrier.
DEVICE void copy_words(void *dst, const void *src, int bytes) {
	for (int i = threadIdx.x; i < bytes / 4; i += blockDim.x) ((uint32_t *)dst)[i] = ((const uint32_t *)src)[i];
}

// block_sum adds over the block. `memory` holds a number a warp and belongs to
// this sum until the next __syncthreads.
DEVICE float block_sum(float v, float *memory) {
	v = warp_sum(v);
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = v;
	__syncthreads();
	v = 0;
	for (int i = 0; i < MATVEC_WARPS; i++) v += memory[i];
	return v;
}

DEVICE float4 ones_or(uint64_t weights, int i) {
	return weights ? __ldg((const float4 *)((const float *)weights + i)) : make_float4(1, 1, 1, 1);
}

// prepare brings the input of p into shared memory and returns the factor that
// every result still has to be multiplied with: the norm's, so that its sum
// and the integers come from one pass. sums: 2·MATVEC_WARPS numbers. (Loading
// post and all weights together with x was tried: 5 % slower, by registers.)
// What is for adapters is in adapted.cuh.
DEVICE float prepare(const Product &p, const Activations &x, float *sums, const Lowering *adapters) {
	const int step = 4 * MATVEC_THREADS, many = 4; // columns of the block at a time; of those loaded together
	const float *in = (const float *)p.x, *post = (const float *)p.post;
	float scale = 0, square = 0;
	put_zeros(p.cols, p.groups, x);
	if (post) {
		for (int i = 4 * threadIdx.x; i < p.cols; i += step) {
			float4 h = load_fresh4(post + i);
			scale += h.x * h.x + h.y * h.y + h.z * h.z + h.w * h.w;
		}
		scale = rsqrtf(__fdividef(block_sum(scale, sums + MATVEC_WARPS), p.cols) + p.eps);
	}
	Lower lower;
	if (adapting) lower = start_low(*adapters, p.cols);
#pragma unroll 1
	for (int base = 4 * (int)(threadIdx.x & ~31); base < p.cols; base += many * step) { // the same for a warp
		float4 v[many];
		int i = base + 4 * (threadIdx.x & 31);
#pragma unroll
		for (int k = 0; k < many; k++) v[k] = i + k * step < p.cols ? load_fresh4(in + i + k * step) : make_float4(0, 0, 0, 0);
#pragma unroll 1
		for (int from = base, k = 0; k < many && from < p.cols; k++, from += step, i += step) { // not unrolled: cold code is slow
			bool inside = i < p.cols;
			if (post && inside) {
				float4 h = load_fresh4(post + i), w = ones_or(p.post_weight, i);
				v[0].x += h.x * scale * w.x, v[0].y += h.y * scale * w.y, v[0].z += h.z * scale * w.z, v[0].w += h.w * scale * w.w;
				if (blockIdx.x == 0) *(float4 *)((float *)p.sum + i) = v[0];
			}
			if (p.norm && inside) {
				float4 w = ones_or(p.norm_weight, i);
				square += v[0].x * v[0].x + v[0].y * v[0].y + v[0].z * v[0].z + v[0].w * v[0].w;
				v[0].x *= w.x, v[0].y *= w.y, v[0].z *= w.z, v[0].w *= w.w;
			}
			if (adapting && lower.row && inside) add_low(lower, i, step, p.cols, v[0]);
			quantise(x, i, v[0], inside);
#pragma unroll
			for (int n = 1; n < many; n++) v[n - 1] = v[n];
		}
	}
	if constexpr (adapting) {
		if (lower.row) sum_low(lower, *adapters);
		float factor = 1;
		if (p.norm) factor = rsqrtf(__fdividef(block_sum(square, sums), p.cols) + p.eps);
		else __syncthreads();
		if (lower.row) leave_low(*adapters);
		return factor;
	}
	if (p.norm) return rsqrtf(__fdividef(block_sum(square, sums), p.cols) + p.eps);
	__syncthreads();
	return 1;
}

DEVICE float glu(int fn, float g) {
	switch (fn) {
	case FN_SILU: return __fdividef(g, 1 + __expf(-g)); // g below -88: 0, as it should be
	case FN_GELU: return 0.5f * g * (1 + tanhf(0.7978845608f * (g + 0.044715f * g * g * g)));
	case FN_GELU_ERF: return 0.5f * g * (1 + erff(g * 0.7071067812f));
	case FN_RELU: return fmaxf(g, 0);
	}
	return __fdividef(1, 1 + __expf(-g)); // sigmoid
}

// A Best is the largest result and its row, the first of equals.
struct Best {
	float value;
	int32_t row;
};

DEVICE Best better(Best a, Best b) {
	return b.row >= 0 && (a.row < 0 || b.value > a.value || (b.value == a.value && b.row < a.row)) ? b : a;
}

// block_best writes the best of the block for block 0 to compare.
DEVICE void block_best(Best b, Best *out, Best *memory) {
	for (int i = 16; i > 0; i /= 2) {
		Best o = {__shfl_xor_sync(full_warp, b.value, i), __shfl_xor_sync(full_warp, b.row, i)};
		b = better(b, o);
	}
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = b;
	__syncthreads();
	if (threadIdx.x > 0) return;
	for (int i = 1; i < MATVEC_WARPS; i++) b = better(b, memory[i]);
	out[blockIdx.x] = b;
}

// A Work is a block's way through a product. Units that share the room for
// sums are a pass: their warps leave what they have, the block adds.
struct Work {
	float factor;   // of all results (prepare)
	float *sums;    // (room, sharing, 16)
	int from, to;   // units of the pass
	float extra[2]; // residuals, or else biases, of what the warp will finish, on their way
	int place[2];   // with adapters: part and row of those units
	Best best;
};

// A warp finishes one or two units of a pass: both parts of a GLU, gate first.
DEVICE int finished(const Product &p, const Work &w, int i) {
	int warp = threadIdx.x >> 5;
	return w.from + (p.mode == PRODUCT_GLU ? 2 * warp + i : warp + i * MATVEC_WARPS);
}
DEVICE void expect(const Product &p, Work &w, const Lowering *adapters) {
	w.extra[0] = w.extra[1] = 0;
	if (!adapting && p.mode != PRODUCT_ADD && !p.part[0].bias && !p.part[1].bias && !p.part[2].bias) return;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int unit = finished(p, w, i);
		if (unit >= w.to) return;
		Unit u = unit_at(p, unit);
		if (adapting) w.place[i] = u.row << 2 | u.part;
		const Part &part = p.part[u.part];
		int row = u.row + (int)(threadIdx.x & 15);
		if (row >= part.rows) continue;
		if (p.mode == PRODUCT_ADD) w.extra[i] = load_fresh((const float *)p.residual + row);
		else if (part.bias) w.extra[i] = __ldg((const float *)part.bias + row);
		if (adapting) fetch_b(*adapters, unit - w.from, u.part, row);
	}
}

// unit_sum adds what the warps have of a unit, and more; lanes i and i+16 get row i's.
DEVICE float unit_sum(const Product &p, const Work &w, int unit, float more) {
	const float *sums = w.sums + ((unit - w.from << p.share) * 16) + (threadIdx.x & 15);
	int half = (threadIdx.x & 31) >> 4;
	float y = 0;
	if (adapting) y = more;
#pragma unroll
	for (int i = 0; i < MATVEC_WARPS; i += 2)
		if (i + half < sharing(p)) y += sums[(i + half) * 16];
	return y + __shfl_xor_sync(full_warp, y, 16);
}

DEVICE void finish(const Product &p, Work &w, const Lowering *adapters) {
	float gate = 0;
#pragma unroll 1
	for (int i = 0; i < 2; i++) {
		int unit = finished(p, w, i);
		if (unit >= w.to) return;
		Unit u;
		if (adapting) u = {w.place[0] & 3, w.place[0] >> 2};
		else u = unit_at(p, unit);
		const Part &part = p.part[u.part];
		int row = u.row + (int)(threadIdx.x & 15);
		bool inside = (threadIdx.x & 31) < 16 && row < part.rows;
		float more = 0;
		if (adapting && row < part.rows) more = raise(*adapters, unit - w.from, u.part, row);
		float y = unit_sum(p, w, unit, more) * w.factor + w.extra[0];
		if (p.mode == PRODUCT_ADD && part.bias && inside) y += __ldg((const float *)part.bias + row);
		if (p.mode == PRODUCT_GLU && i == 0) gate = glu(p.fn, y), inside = false;
		if (p.mode == PRODUCT_GLU) y *= gate;
		if (p.cap != 0) y = p.cap * tanhf(y / p.cap);
		if (inside) {
			((float *)p.part[p.mode == PRODUCT_GLU ? 0 : u.part].dst)[row] = y;
			if (p.best && y == y) w.best = better(w.best, {y, row});
		}
		w.extra[0] = w.extra[1];
		if (adapting) w.place[0] = w.place[1];
	}
}

// run computes this warp's share of a unit of product all[at].
template <int type, bool RING>
DEVICE void run(const Product *all, int at, int unit, Flow &f, Loaded *pending, const Input &x, const Work &w) {
	const Product &p = all[at];
	const int share = p.share, rank = rank_of(p), step = 64 << share; // bytes of an array of activations from tile to tile
	const int j = 4 * rank + (threadIdx.x & 3) & 7; // of all items: where superblocks are, share is at least 1
	const int by = x.by << share;
	int b0 = x.b0 + rank * x.by, b1 = x.b1 + rank * x.by, meta = x.meta + rank * 64;
	const char *memory = dynamic_shared();
	const Tables table = tables<type>(p.zero);
	float y0 = 0, y1 = 0;
#pragma unroll 1
	for (int n = items(p); n > 0; n--) {
		const char *slot = await<RING>(f);
		Loaded v[2];
		if (!RING) v[0] = pending[0], v[1] = pending[1];
		advance<type, RING>(f, pending, all);
		if (RING) take<type>(v, slot);
		dot<type>(y0, y1, v, j, *(const uint4 *)(memory + b0), *(const uint4 *)(memory + b1), *(const int4 *)(memory + meta), table);
		b0 += by, b1 += by, meta += step;
	}
	int lane = threadIdx.x & 31;
	float mine = lane & 1 ? y1 : y0, other = lane & 1 ? y0 : y1;
	mine += __shfl_xor_sync(full_warp, other, 1);
	mine += __shfl_xor_sync(full_warp, mine, 2);
	mine *= sum_unit<type>();
	if ((lane & 2) == 0) w.sums[((unit - w.from << p.share) + rank_of(p)) * 16 + (lane & 1) * 8 + (lane >> 2)] = mine;
}
template <int type> DEVICE void run_ring(const Product *all, int at, int unit, Flow &f, const Input &x, const Work &w) {
	run<type, true>(all, at, unit, f, 0, x, w);
}
template <int type> DEVICE void run_loaded(const Product *all, int at, int unit, Flow &f, Loaded *pending, const Input &x, const Work &w) {
	run<type, false>(all, at, unit, f, pending, x, w);
}

// product computes all[at] with its input in x. f brings its weights. sums has
// room for so many units that 16 warps work on at a time, room·256 numbers.
// prepare has left what `adapters` want of this block.
template <bool RING>
DEVICE void product(const Product *all, int at, Flow &f, Loaded *pending, const Activations &x, float factor, float *sums, int room, Best *memory,
	const Lowering *adapters) {
	const Product &p = all[at];
	Work w = {factor, sums, 0, 0, {0, 0}, {}, {0, -1}};
	Input in = input_of(x);
	int units = units_of(p), unit = first_of(p);
	if (f.fetched == f.taken) fill<RING>(f, pending, all); // also where this block has no unit
	room = min(room << 4 - p.share, adapting ? LOW_UNITS : 2 * MATVEC_WARPS);
	while (w.to < units) {
		w.from = w.to, w.to = min(w.from + room, units);
		expect(p, w, adapters);
		if (w.from > 0) __syncthreads(); // the sums have been read
		for (; unit < w.to; unit += at_once(p)) {
			if (f.fetched == f.taken) fill<RING>(f, pending, all);
			int type = p.part[unit_at(p, unit).part].type;
			if constexpr (RING) FOR_TYPE(type, run_ring, all, at, unit, f, in, w)
			else FOR_TYPE(type, run_loaded, all, at, unit, f, pending, in, w)
		}
		if (adapting) {
			cp_async_commit();
			cp_async_wait<0>();
			if (w.from == 0) gather_low(*adapters);
		}
		__syncthreads();
		finish(p, w, adapters);
	}
	if (p.best) block_best(w.best, (Best *)p.best, memory);
}
