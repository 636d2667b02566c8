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

// What code runs once in a product is kept short, and loops there are not
// unrolled: all sixteen warps run it, and wait for its instructions.

// bring starts to copy a T by the lanes of one warp. It is there behind a
// cp_async_wait<0> of theirs.
template <class T> DEVICE void bring(int warp, T *to, const T *from) {
	static_assert(sizeof(T) % 16 == 0 && sizeof(T) <= 512, "a turn of a warp");
	int i = threadIdx.x - 32 * warp;
	if (i >= 0 && i < (int)sizeof(T) / 16) cp_async16((uint4 *)to + i, (const uint4 *)from + i);
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

DEVICE float squares(float4 v) { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }
DEVICE float4 times(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }

// summed is v, columns i to i+3 of x, and the norm of those of post.
DEVICE float4 summed(const Product &p, int i, float4 v, float scale, Tag post_tag, uint32_t launch) {
	float4 h = numbers_of(look4((const float *)p.post + i), post_tag), w = ones_or(p.post_weight, i);
	v.x += h.x * scale * w.x, v.y += h.y * scale * w.y, v.z += h.z * scale * w.z, v.w += h.w * scale * w.w;
	if (blockIdx.x == 0) hand4((float *)p.sum + i, v, tag_of(p.sum_tag, launch));
	return v;
}

// prepare brings the input of p into shared memory and returns the factor that
// every result still has to be multiplied with: the norm's, so that its sum
// and the integers come from one pass. sums: 2·MATVEC_WARPS numbers. What is for
// adapters is in adapted.cuh.
//
// A block without units leaves the input alone: nobody waits for it, and so the
// numbers could be others when it comes to read them.
DEVICE float prepare(const Product &p, const Lot &lot, const Activations &x, float *sums, uint32_t launch, const Lowering *adapters) {
	const int step = 8 * MATVEC_THREADS, many = 2; // columns of the block at a time; of those loaded together
	const float *in = (const float *)p.x, *post = (const float *)p.post;
	const Tag in_tag = tag_of(p.x_tag, launch), post_tag = tag_of(p.post_tag, launch);
	float scale = 0, square = 0;
	if (lot.units == 0 && !(adapting && adapters->of->row[0])) {
		__syncthreads();
		return 1;
	}
	put_zeros(p.cols, p.groups, x);
	if (post) {
		for (int i = 4 * threadIdx.x; i < p.cols; i += 4 * MATVEC_THREADS) {
			float4 h[1];
			receive4(h, post + i, 0, 1, post_tag);
			scale += squares(h[0]);
		}
		scale = rsqrtf(__fdividef(block_sum(scale, sums + MATVEC_WARPS), p.cols) + p.eps);
	}
	Lower lower;
	if (adapting) lower = start_low(*adapters, p.cols);
#pragma unroll 1
	for (int base = 8 * (int)(threadIdx.x & ~31); base < p.cols; base += many * step) { // the same for a warp
		int i = base + 8 * (threadIdx.x & 28) + 4 * (threadIdx.x & 3); // and i + 16: see quantise_pair
		float4 v[2 * many], weights[2 * many];
#pragma unroll
		for (int k = 0; k < 2 * many; k++) { // asked for before the wait
			int at = i + k / 2 * step + k % 2 * 16;
			weights[k] = p.norm && at < p.cols ? ones_or(p.norm_weight, at) : make_float4(1, 1, 1, 1);
		}
		receive4(v, in + i, step, p.cols - i, in_tag);
#pragma unroll 1
		for (int from = base, k = 0; k < many && from < p.cols; k++, from += step, i += step) { // not unrolled: cold code is slow
			bool inside = i < p.cols;
#pragma unroll
			for (int h = 0; h < 2; h++) {
				if (post && inside) v[h] = summed(p, i + 16 * h, v[h], scale, post_tag, launch);
				square += squares(v[h]);
				v[h] = times(v[h], weights[h]);
				if (adapting && lower.row && inside) add_low(lower, i + 16 * h, h ? i + step : i + 16, p.cols, v[h]);
			}
			quantise_pair(x, i / 32, v[0], v[1], inside);
#pragma unroll
			for (int n = 2; n < 2 * many; n++) v[n - 2] = v[n], weights[n - 2] = weights[n];
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

// block_best writes the best of the block for block 0 to compare. The row's last
// bit is a tag.
DEVICE void block_best(Best b, uint64_t out, uint32_t launch, Best *memory) {
	for (int i = 16; i > 0; i /= 2) {
		Best o = {__shfl_xor_sync(full_warp, b.value, i), __shfl_xor_sync(full_warp, b.row, i)};
		b = better(b, o);
	}
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = b;
	__syncthreads();
	if (threadIdx.x > 0) return;
	for (int i = 1; i < MATVEC_WARPS; i++) b = better(b, memory[i]);
	((volatile uint64_t *)out)[blockIdx.x] = (uint64_t)((uint32_t)b.row << 1 | launch & 1) << 32 | __float_as_uint(b.value);
}

// A Work is a block's way through a product. Units that share the room for
// sums are a pass: their warps leave what they have, the block adds.
struct Work {
	float factor; // of all results (prepare)
	uint32_t launch;
	float *sums;  // (room, sharing, 16)
	int from, to;   // units of the pass
	float extra[2]; // residuals, or else biases, of what the warp will finish, on their way
	int place[2];   // row << 2 | part of the lane's results, or -1
	Best best;
};

// A warp finishes one or two units of a pass: both parts of a GLU, gate first.
DEVICE int finished(const Product &p, const Work &w, int i) {
	int warp = threadIdx.x >> 5;
	return w.from + (p.mode == PRODUCT_GLU ? 2 * warp + i : warp + i * MATVEC_WARPS);
}
DEVICE void expect(const Product &p, const Lot &lot, Work &w, const Lowering *adapters) {
	w.extra[0] = w.extra[1] = 0, w.place[0] = w.place[1] = -1;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int unit = finished(p, w, i);
		if (unit >= w.to) return;
		Unit u = unit_at(p, lot, unit);
		const Part &part = p.part[u.part];
		int row = row_of(lot, u) + (int)(threadIdx.x & 15);
		if (row >= part.rows) continue;
		w.place[i] = row << 2 | u.part;
		if (p.mode == PRODUCT_ADD) w.extra[i] = __uint_as_float(look((const float *)p.residual + row));
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
		const int row = w.place[0] >> 2, number = row < 0 ? 0 : w.place[0] & 3;
		const Part &part = p.part[number];
		bool inside = (threadIdx.x & 31) < 16 && row >= 0;
		float more = 0;
		if (adapting && row >= 0) more = raise(*adapters, unit - w.from, number, row);
		if (p.mode == PRODUCT_ADD && inside) w.extra[0] = settled(w.extra[0], (const float *)p.residual + row, tag_of(p.residual_tag, w.launch));
		float y = unit_sum(p, w, unit, more) * w.factor + w.extra[0];
		if (p.mode == PRODUCT_ADD && part.bias && inside) y += __ldg((const float *)part.bias + row);
		if (p.mode == PRODUCT_GLU && i == 0) gate = glu(p.fn, y), inside = false;
		if (p.mode == PRODUCT_GLU) y *= gate;
		if (p.cap != 0) y = p.cap * tanhf(y / p.cap);
		if (inside) {
			const Part &to = p.part[p.mode == PRODUCT_GLU ? 0 : number];
			hand((float *)to.dst + row, y, tag_of(to.tag, w.launch));
			if (p.best && y == y) w.best = better(w.best, {y, row});
		}
		w.extra[0] = w.extra[1], w.place[0] = w.place[1];
	}
}

// run computes this warp's share of a unit.
template <int type, bool RING>
DEVICE void run(float &y0, float &y1, Flow &f, Loaded *pending, const Product &p, const Lot &lot, const Input &x) {
	const int share = p.share, rank = rank_of(p), step = 64 << share; // bytes of an array of activations from tile to tile
	const int j = 4 * rank + (threadIdx.x & 3) & 7; // of all items: where superblocks are, share is at least 1
	const int by = x.by << share;
	int b0 = x.b0 + rank * x.by, b1 = x.b1 + rank * x.by, meta = x.meta + rank * 64;
	const char *memory = dynamic_shared();
	const Tables table = tables<type>(p.zero);
	if (!RING && !f.ready) fetch_loaded<type>(f, pending, p);
#pragma unroll 1
	for (int n = items(p); n > 0; n--) {
		Loaded v[2];
		next<type, RING>(f, v, pending, p, lot);
		dot<type>(y0, y1, v, j, *(const uint4 *)(memory + b0), *(const uint4 *)(memory + b1), *(const int4 *)(memory + meta), table);
		b0 += by, b1 += by, meta += step;
	}
	y0 *= sum_unit<type>(), y1 *= sum_unit<type>();
}
template <int type> DEVICE void run_ring(float &y0, float &y1, Flow &f, const Product &p, const Lot &lot, const Input &x) {
	run<type, true>(y0, y1, f, 0, p, lot, x);
}
template <int type> DEVICE void run_loaded(float &y0, float &y1, Flow &f, Loaded *pending, const Product &p, const Lot &lot, const Input &x) {
	run<type, false>(y0, y1, f, pending, p, lot, x);
}

// product computes a product with its input in x. f brings its weights. sums has
// room for so many units that 16 warps work on at a time, room·256 numbers.
// prepare has left what `adapters` want of this block. There is a __syncthreads
// in it, behind the last use of x.
template <bool RING>
DEVICE void product(const Product &p, const Lot &lot, Flow &f, Loaded *pending, const Activations &x, float factor, float *sums, int room, uint32_t launch,
	Best *memory, const Lowering *adapters) {
	Work w = {factor, launch, sums, 0, 0, {0, 0}, {-1, -1}, {0, -1}};
	const Input in = input_of(x);
	const int lane = threadIdx.x & 31;
	int unit = first_of(p);
	room = min(room << 4 - p.share, adapting ? LOW_UNITS : 2 * MATVEC_WARPS);
	while (w.to < lot.units) {
		w.from = w.to, w.to = min(w.from + room, lot.units);
		expect(p, lot, w, adapters);
		if (w.from > 0) __syncthreads(); // the sums have been read
		for (; unit < w.to; unit += at_once(p)) {
			float y0 = 0, y1 = 0;
			int type = p.part[unit_at(p, lot, unit).part].type;
			if constexpr (RING) FOR_TYPE(type, run_ring, y0, y1, f, p, lot, in)
			else FOR_TYPE(type, run_loaded, y0, y1, f, pending, p, lot, in)
			float mine = lane & 1 ? y1 : y0, other = lane & 1 ? y0 : y1;
			mine += __shfl_xor_sync(full_warp, other, 1);
			mine += __shfl_xor_sync(full_warp, mine, 2);
			if ((lane & 2) == 0) w.sums[((unit - w.from << p.share) + rank_of(p)) * 16 + (lane & 1) * 8 + (lane >> 2)] = mine;
		}
		if (adapting || w.from == 0) cp_async_commit(), cp_async_wait<0>(); // rows of B, and what `bring` brings
		if (adapting && w.from == 0) gather_low(*adapters);
		__syncthreads();
		finish(p, w, adapters);
	}
	if (lot.units == 0) {
		cp_async_commit(), cp_async_wait<0>();
		__syncthreads();
	}
	if (p.best) block_best(w.best, p.best, launch, memory);
}
