// activations_{f32,f16,bf16}: rows of x (n, k) as f16 for the tensor cores,
//
//	to[i][j] = f16(x[i][j] / scale[i]), scale[i] = 2^e, e such that the row's
//	largest magnitude is from 2¹³ up to 2¹⁴
//
// columns from k to ld (a multiple of 32) are zeros. A power of two loses
// nothing; the whole of f16's range is used, so that rows may be larger than
// 65504 (Gemma's are) and what is 2⁻²⁷ of the largest keeps its bits. A row
// that holds an infinity gets the scale 1. The same kernel makes f16 of the
// rows of weights that are bf16.
//
// Launch: a block of 256 threads a row. Bound: x read twice, the second time
// out of a cache, and half of it (of f32) written: 12 MB and 5 µs for
// (512, 4096) on an H100, computed.
#include "format.cuh"
#include "parts.cuh"

struct ActivationsArgs {
	uint64_t x;     // (n, k)
	uint64_t to;    // f16 (n, ld)
	uint64_t scale; // f32 (n)
	int32_t n, k, ld;
	int32_t pad;
};

template <int T> DEVICE void activations(const ActivationsArgs &a) {
	SHARED float largest[8];
	int tid = threadIdx.x;
	int64_t row = blockIdx.x;
	constexpr int bytes = block_bytes(T), wide = 16 / bytes; // numbers of a wide load
	const char *x = (const char *)a.x + row * a.k * bytes;
	uint16_t *to = (uint16_t *)a.to + row * a.ld;
	bool aligned = a.k % wide == 0 && (a.x & 15) == 0;

	float most = 0;
	if (aligned) {
		for (int j = tid * wide; j < a.k; j += 256 * wide) {
			uint4 v = load16(x + (int64_t)j * bytes);
#pragma unroll
			for (int i = 0; i < wide; i++) most = fmaxf(most, fabsf(plain_number<T>((const char *)&v, i)));
		}
	} else {
		for (int j = tid; j < a.k; j += 256) most = fmaxf(most, fabsf(plain_number<T>(x, j)));
	}
	most = warp_max(most);
	if (tid % 32 == 0) largest[tid / 32] = most;
	__syncthreads();
	for (int i = 0; i < 8; i++) most = fmaxf(most, largest[i]);

	int e = input_exponent(most);
	float by = input_inverse(e);
	if (tid == 0) ((float *)a.scale)[row] = input_scale(e);

	if (aligned) {
		for (int j = tid * wide; j < a.k; j += 256 * wide) {
			uint4 v = load16(x + (int64_t)j * bytes);
			uint32_t w[wide / 2];
#pragma unroll
			for (int i = 0; i < wide; i += 2)
				w[i / 2] = pack_h2(plain_number<T>((const char *)&v, i) * by, plain_number<T>((const char *)&v, i + 1) * by);
			if constexpr (wide == 4) *(uint2 *)(to + j) = make_uint2(w[0], w[1]);
			else *(uint4 *)(to + j) = make_uint4(w[0], w[1], w[2], w[3]);
		}
	} else {
		for (int j = tid; j < a.k; j += 256) to[j] = f2h(plain_number<T>(x, j) * by);
	}
	for (int j = a.k + tid; j < a.ld; j += 256) to[j] = 0;
}

KERNEL(activations_f32, ActivationsArgs, 256, 4) { activations<F32>(a); }
KERNEL(activations_f16, ActivationsArgs, 256, 4) { activations<F16>(a); }
KERNEL(activations_bf16, ActivationsArgs, 256, 4) { activations<BF16>(a); }
