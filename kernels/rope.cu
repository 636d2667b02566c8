// rope: dst = x with the pair i of each head turned by position·θᵢ, times mul.
// rope_table: θᵢ in turns, Base^(-2i/Dims)/2π/factorᵢ, scaled (Rope).
//
// x and dst (n, heads, dim) f32, dst may be x; pos (n) i32; factors (dims/2)
// f32 or none; table (dims/2) float2. Pairs are (2i, 2i+1) or, neox, (i,
// i+dims/2); numbers past dims are copied.
// Launch: a block is a row and some of its heads; a thread computes one angle
// and turns that pair of each of its heads. Bound: bytes of x and dst.
// measured: 5.3 µs for 512 × 4096, 3.2 TB/s (H200, 2026-11-23)
#include "rope.cuh"
#include "fault.cuh"

struct RopeTable {
	uint64_t table, factors;
	double base, scale;
	double yarn;     // weight of extrapolation; 0 is off
	double low, high; // pairs between which YaRN mixes
	int32_t dims, pad;
};

KERNEL(rope_table, RopeTable, 128, 1) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= a.dims / 2) return;
	double turns = pow(a.base, -2.0 * i / a.dims) / 6.283185307179586476925;
	if (a.factors) turns /= ((const float *)a.factors)[i];
	double scale = a.scale;
	if (a.yarn != 0) { // section 3.2 of the paper; tensor/cpu has the words
		double ramp = (i - a.low) / fmax(0.001, a.high - a.low);
		double mix = a.yarn * (1 - fmin(1.0, fmax(0.0, ramp)));
		scale = scale * (1 - mix) + mix;
	}
	turns *= scale;
	float high = (float)turns;
	((float2 *)a.table)[i] = make_float2(high, (float)(turns - high));
}

struct RopeArgs {
	uint64_t dst, x, pos, table, fault;
	int32_t heads, dim, dims;
	int32_t parts; // blocks of a row
	int32_t neox;
	float mul;
};

KERNEL(rope, RopeArgs, 256, 4) {
	int64_t row = blockIdx.x / a.parts;
	int position = ((const int32_t *)a.pos)[row];
	if (position < 0) {
		if (threadIdx.x == 0) report(a.fault, FAULT_POSITION, position);
		position = 0;
	}
	int half = a.dims / 2, first = blockIdx.x % a.parts;
	const float *x = (const float *)a.x + row * a.heads * a.dim;
	float *dst = (float *)a.dst + row * a.heads * a.dim;
	// Threads lie over (head, pair); those of no whole head are left over.
	int side = half < (int)blockDim.x ? blockDim.x / half : 1;
	int lane = threadIdx.x % half, head = threadIdx.x / half;
	if (half > (int)blockDim.x) lane = threadIdx.x, head = 0;
	for (int i = lane; i < half && head < side; i += blockDim.x) {
		float2 angle = rope_angle(((const float2 *)a.table)[i], position);
		angle.x *= a.mul;
		angle.y *= a.mul;
		int p = a.neox ? i : 2 * i, q = a.neox ? i + half : 2 * i + 1;
		for (int h = first * side + head; h < a.heads; h += a.parts * side) {
			float2 y = turned(x[h * a.dim + p], x[h * a.dim + q], angle);
			dst[h * a.dim + p] = y.x;
			dst[h * a.dim + q] = y.y;
		}
	}
	int rest = a.dim - a.dims;
	if (rest > 0 && dst != x) {
		for (int i = first * blockDim.x + threadIdx.x; i < a.heads * rest; i += a.parts * blockDim.x) {
			int at = i / rest * a.dim + a.dims + i % rest;
			dst[at] = x[at];
		}
	}
}
