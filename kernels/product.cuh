// A product of packed weights with one row of activations: y = W·x, with what
// comes before it (sums, a norm) and after (bias, residual, GLU, the best row).
//
// It is bound by reading W once, so everything serves the flow of weights
// (flow.cuh). A warp takes rows; 1<<shift of its lanes share a row, each a
// chunk of 32 columns at a time, four of them an iteration. The next iteration
// is on its way meanwhile: on sm_80 and newer into a ring in shared memory
// (cp.async) where there is room for one, else into registers.
#pragma once
#include "flow.cuh"

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

// quantise writes four columns from i on; eight threads hold a chunk.
DEVICE void quantise(const Activations &x, int i, float4 v, bool inside) {
	float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
	for (int k = 1; k < 8; k *= 2) most = fmaxf(most, __shfl_xor_sync(full_warp, most, k));
	const float limit = 16255; // 127·128 - 1: the high byte ends at 127
	float inverse = most > 1e-30f ? __fdividef(limit, most) : 0;
	int q[4] = {__float2int_rn(v.x * inverse), __float2int_rn(v.y * inverse), __float2int_rn(v.z * inverse), __float2int_rn(v.w * inverse)};
	uint32_t hi = 0, lo = 0;
	int sum = 0;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		int h = (q[k] + 64) >> 7;
		hi |= (uint32_t)(h & 255) << 8 * k;
		lo |= (uint32_t)((q[k] - h * 128) & 255) << 8 * k;
		sum += q[k];
	}
	sum += __shfl_xor_sync(full_warp, sum, 1);
	sum += __shfl_xor_sync(full_warp, sum, 2);
	if (!inside) return;
	int c = i / 32, word = i / 4 & 3, second = i / 16 & 1;
	((uint32_t *)((second ? x.hi1 : x.hi0) + c))[word] = hi;
	((uint32_t *)((second ? x.lo1 : x.lo0) + c))[word] = lo;
	if (word == 0) ((int *)(x.meta + c))[1 + second] = sum;
	if ((i & 31) == 0) ((float *)(x.meta + c))[0] = most * (1 / limit);
}

// prepare brings the input of p into shared memory and returns the factor that
// every result still has to be multiplied with: the norm's, so that its sum
// and the integers come from one pass. sums: 2·MATVEC_WARPS numbers. (Loading
// post and all weights together with x was tried: 5 % slower, by registers.)
DEVICE float prepare(const Product &p, const Activations &x, float *sums) {
	const int step = 4 * MATVEC_THREADS, many = 4; // columns of the block at a time; of those loaded together
	const float *in = (const float *)p.x, *post = (const float *)p.post;
	float scale = 0, square = 0;
	if (post) {
		for (int i = 4 * threadIdx.x; i < p.cols; i += step) {
			float4 h = load_fresh4(post + i);
			scale += h.x * h.x + h.y * h.y + h.z * h.z + h.w * h.w;
		}
		scale = rsqrtf(block_sum(scale, sums + MATVEC_WARPS) / p.cols + p.eps);
	}
	for (int base = 4 * (int)(threadIdx.x & ~31); base < p.cols; base += many * step) { // the same for a warp
		float4 v[many];
#pragma unroll
		for (int k = 0; k < many; k++) {
			int i = base + 4 * (threadIdx.x & 31) + k * step;
			v[k] = i < p.cols ? load_fresh4(in + i) : make_float4(0, 0, 0, 0);
		}
#pragma unroll
		for (int k = 0; k < many; k++) {
			int i = base + 4 * (threadIdx.x & 31) + k * step;
			bool inside = i < p.cols;
			if (base + k * step >= p.cols) break;
			if (post && inside) {
				float4 h = load_fresh4(post + i), w = ones_or(p.post_weight, i);
				v[k].x += h.x * scale * w.x, v[k].y += h.y * scale * w.y, v[k].z += h.z * scale * w.z, v[k].w += h.w * scale * w.w;
				if (blockIdx.x == 0) *(float4 *)((float *)p.sum + i) = v[k];
			}
			if (p.norm && inside) {
				float4 w = ones_or(p.norm_weight, i);
				square += v[k].x * v[k].x + v[k].y * v[k].y + v[k].z * v[k].z + v[k].w * v[k].w;
				v[k].x *= w.x, v[k].y *= w.y, v[k].z *= w.z, v[k].w *= w.w;
			}
			quantise(x, i, v[k], inside);
		}
	}
	if (p.norm) return rsqrtf(block_sum(square, sums) / p.cols + p.eps);
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

// What the units of a product leave for each other.
struct Results {
	float factor;         // of all results (prepare)
	float *gates;         // GATES numbers of this warp: results of the first part of a GLU
	Best best;
};
const int GATES = 128;

// run computes this warp's units of one part of product all[at].
template <int type, bool RING, int ONLY>
DEVICE void run(const Product *all, int at, int index, Flow &f, Loaded *pending, const Activations &x, Results &r) {
	const int U = unroll<RING>;
	const Product &p = all[at];
	const Part &part = p.part[index];
	const Planes w = part.w;
	const int chunks = p.cols / 32, shift = p.shift, rounds = iterations<RING>(p), units = p.units[index], step = stride();
	const int lane = threadIdx.x & 31, first = lane & ((1 << shift) - 1);
	int n = lane >> shift; // of gates
	for (int unit = first_unit(p, index); unit < units; unit += step, n += 32 >> shift) {
		int row = (unit << (5 - shift)) + (lane >> shift), col = row < part.rows ? first : chunks, c = part.first + row * chunks + first;
		float y = 0, extra = 0; // loaded before it is needed
		if (col == 0 && part.bias) extra = __ldg((const float *)part.bias + row);
		if (col == 0 && p.mode == PRODUCT_ADD) extra += load_fresh((const float *)p.residual + row);
		for (int i = 0; i < rounds; i++) {
			Loaded loaded[U];
			const char *slot = dynamic_shared() + f.ring + (f.put ^ 1) * (U * SLOT_BYTES);
			if (RING) {
				cp_async_wait<0>();
				__syncwarp(); // the copies of other lanes, too; and all have read the other slots
			} else {
				for (int u = 0; u < U; u++) loaded[u] = pending[u];
			}
			f.ahead = 0;
			bool here = f.p == at && f.part == index;
			if (here && f.left == 0 && f.unit + step < units) f.unit += step, begin(f, part, shift, chunks, rounds);
			if (here && f.left > 0) fetch<type, RING>(f, pending, w, shift, chunks);
			else fetch_any<RING, ONLY>(f, pending, all);
			if (col + (U - 1 << shift) < chunks) { // all of them, side by side
#pragma unroll
				for (int u = 0; u < U; u++) {
					Loaded v;
					if (RING) take<type>(v, slot + u * SLOT_BYTES);
					else v = loaded[u];
					y += dot<type>(v, c + (u << shift), x, col + (u << shift));
				}
			} else if (RING) {
#pragma unroll 1
				for (int u = 0; col + (u << shift) < chunks; u++) {
					Loaded v;
					take<type>(v, slot + u * SLOT_BYTES);
					y += dot<type>(v, c + (u << shift), x, col + (u << shift));
				}
			} else if (col < chunks) {
				y += dot<type>(loaded[0], c, x, col);
			}
			col += U << shift, c += U << shift;
		}
		for (int i = 1 << shift >> 1; i > 0; i /= 2) y += __shfl_xor_sync(full_warp, y, i);
		if (first != 0 || row >= part.rows) continue;
		y = y * r.factor + extra;
		if (p.mode == PRODUCT_GLU && index == 0) {
			r.gates[n] = y;
			continue;
		}
		if (p.mode == PRODUCT_GLU) y *= glu(p.fn, r.gates[n]);
		if (p.cap != 0) y = p.cap * tanhf(y / p.cap);
		((float *)p.part[p.mode == PRODUCT_GLU ? 0 : index].dst)[row] = y;
		if (y == y) r.best = better(r.best, {y, row});
	}
}
template <int type> DEVICE void run_ring(const Product *all, int at, int index, Flow &f, const Activations &x, Results &r) {
	run<type, true, -1>(all, at, index, f, 0, x, r);
}
template <int type> DEVICE void run_loaded(const Product *all, int at, int index, Flow &f, Loaded *pending, const Activations &x, Results &r) {
	run<type, false, -1>(all, at, index, f, pending, x, r);
}

// product computes all[at] with its input in x. f brings its weights, and
// begins to bring those of f.next. gates: GATES numbers a warp. ONLY is the
// type of all parts, or -1.
template <bool RING, int ONLY>
DEVICE void product(const Product *all, int at, Flow &f, Loaded *pending, const Activations &x, float factor, float *gates, Best *memory) {
	const Product &p = all[at];
	// A warp that had nothing to do of the last product has not come here yet.
	if (!f.ahead) fetch_any<RING, ONLY>(f, pending, all);
	Results r = {factor, gates + (threadIdx.x >> 5) * GATES, {0, -1}};
	for (int index = 0; index < p.parts; index++) {
		if constexpr (ONLY >= 0) run<ONLY, RING, ONLY>(all, at, index, f, pending, x, r);
		else if constexpr (RING) FOR_TYPE(p.part[index].type, run_ring, all, at, index, f, x, r)
		else FOR_TYPE(p.part[index].type, run_loaded, all, at, index, f, pending, x, r)
	}
	if (p.best) block_best(r.best, (Best *)p.best, memory);
}
