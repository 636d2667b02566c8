// few_{type}: products of up to 8 rows; see few.cuh.
//
// few_input: rows of x (n, cols) f32 as few.cuh reads them: for each row the
// arrays of Activations (dot.cuh) one after the other, whole groups, with what
// dot_row needs of each chunk's scale and sums. Launch: (n, ceil(cols/1024))
// blocks of 256 threads. Bound: latency.
#include "few.cuh"

struct FewInputArgs {
	uint64_t x, to;
	int32_t n, cols, groups, pad;
};

KERNEL(few_input, FewInputArgs, 256, 4) {
	int row = blockIdx.x, i = 4 * (blockIdx.y * 256 + threadIdx.x), chunks = a.groups * 4;
	bool inside = i < chunks * 32;
	Activations to;
	to.hi0 = (uint4 *)a.to + (int64_t)row * 5 * chunks;
	to.hi1 = to.hi0 + chunks, to.lo0 = to.hi1 + chunks, to.lo1 = to.lo0 + chunks, to.meta = (int4 *)(to.lo1 + chunks);
	float4 v = make_float4(0, 0, 0, 0);
	if (i < a.cols) v = *(const float4 *)((const float *)a.x + (int64_t)row * a.cols + i);
	quantise(to, i, v, inside);
	__syncwarp(); // one of the eight lanes of a chunk takes what they have written
	if (!inside || (i & 31) != 0) return;
	int4 meta = to.meta[i / 32];
	float scale = __int_as_float(meta.x), s0 = scale * (float)meta.y, s1 = scale * (float)meta.z;
	to.meta[i / 32] = make_int4(meta.x, __float_as_int(s0), __float_as_int(s1), __float_as_int(s0 + s1));
}

FEW(Q4_0, q4_0)
FEW(Q4_1, q4_1)
FEW(Q5_0, q5_0)
FEW(Q5_1, q5_1)
FEW(Q8_0, q8_0)
FEW(IQ4_NL, iq4_nl)
FEW(MXFP4, mxfp4)
