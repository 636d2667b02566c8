// Kernels for emulator_test.go: what lanes of a warp do together.
#include "cuda.cuh"

struct Data {
	uint64_t in, other, out;
	int32_t n, which;
};

// Shuffles: 12 results for each lane of the 32.
KERNEL(shuffles, Data, 32, 1) {
	int lane = threadIdx.x, *out = (int *)a.out + 12 * lane;
	int v = 100 + lane;
	out[0] = __shfl_sync(full_warp, v, 5);
	out[1] = __shfl_sync(full_warp, v, lane + 3, 8);
	out[2] = __shfl_up_sync(full_warp, v, 4);
	out[3] = __shfl_up_sync(full_warp, v, 3, 8);
	out[4] = __shfl_down_sync(full_warp, v, 4);
	out[5] = __shfl_down_sync(full_warp, v, 3, 8);
	out[6] = __shfl_xor_sync(full_warp, v, 17);
	out[7] = (int)(__shfl_xor_sync(full_warp, (long long)v << 32, 1) >> 32);
	out[8] = (int)__shfl_xor_sync(full_warp, (double)v, 2);
	out[9] = (int)__ballot_sync(full_warp, lane % 3 == 0);
	// two halves of the warp by themselves
	unsigned half = lane < 16 ? 0x0000ffff : 0xffff0000;
	if (lane < 16) out[10] = __shfl_xor_sync(half, v, 15);
	else out[10] = __shfl_xor_sync(half, v, 1);
	out[11] = __any_sync(half, lane == 20) + 2 * __all_sync(half, lane < 16) + 4 * (int)(__match_any_sync(full_warp, lane & 7) == 0x01010101u << (lane & 7));
}

// A product by mma_f16: in is a (16×16), other is b (16×8), out is c (16×8).
// Elements are placed by the formulas of the PTX ISA, "Matrix Fragments for
// mma.m16n8k16 with floating point type".
KERNEL(product_f16, Data, 32, 1) {
	const uint16_t *ma = (const uint16_t *)a.in, *mb = (const uint16_t *)a.other;
	float *mc = (float *)a.out, c[4];
	uint32_t fa[4] = {}, fb[2] = {};
	int group = threadIdx.x >> 2, member = threadIdx.x % 4;
	for (int i = 0; i < 8; i++) {
		int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
		int col = member * 2 + (i & 1) + (i >= 4 ? 8 : 0);
		fa[i / 2] |= (uint32_t)ma[row * 16 + col] << (16 * (i % 2));
	}
	for (int i = 0; i < 4; i++) {
		int row = member * 2 + (i & 1) + (i >= 2 ? 8 : 0);
		fb[i / 2] |= (uint32_t)mb[row * 8 + group] << (16 * (i % 2));
	}
	for (int i = 0; i < 4; i++) c[i] = mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)];
	mma_f16(c, fa, fb);
	for (int i = 0; i < 4; i++) mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)] = c[i];
}

// The same with fragments from shared memory by ldmatrix. which 1: b lies
// transposed (8×16).
KERNEL(product_ldmatrix, Data, 32, 1) {
	SHARED __align__(16) uint16_t sa[16 * 16];
	SHARED __align__(16) uint16_t sb[16 * 8];
	int lane = threadIdx.x;
	for (int i = lane; i < 16 * 16; i += 32) sa[i] = ((const uint16_t *)a.in)[i];
	for (int i = lane; i < 16 * 8; i += 32) sb[i] = ((const uint16_t *)a.other)[i];
	__syncwarp();
	uint32_t fa[4], fb[4];
	// matrices: rows 0–7, rows 8–15, then the same of columns 8–15
	ldmatrix4(fa, sa + (lane % 16) * 16 + lane / 16 * 8);
	if (a.which == 0) ldmatrix4t(fb, sb + (lane % 16) * 8); // both matrices twice
	else ldmatrix2(fb, sb + (lane % 8) * 16 + lane / 8 % 2 * 8);
	float *mc = (float *)a.out, c[4];
	int group = lane >> 2, member = lane % 4;
	for (int i = 0; i < 4; i++) c[i] = mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)];
	mma_f16(c, fa, fb);
	for (int i = 0; i < 4; i++) mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)] = c[i];
}

// ldmatrix4t: out is 32 lanes × 4 words.
KERNEL(transposed, Data, 32, 1) {
	SHARED __align__(16) uint16_t s[32 * 8];
	for (int i = threadIdx.x; i < 32 * 8; i += 32) s[i] = ((const uint16_t *)a.in)[i];
	__syncwarp();
	uint32_t r[4];
	ldmatrix4t(r, s + threadIdx.x * 8);
	for (int i = 0; i < 4; i++) ((uint32_t *)a.out)[threadIdx.x * 4 + i] = r[i];
}

// A product by mma_s8: a (16×32), b (32×8), c (16×8). PTX ISA, "Matrix Fragments
// for mma.m16n8k32".
KERNEL(product_s8, Data, 32, 1) {
	const uint8_t *ma = (const uint8_t *)a.in, *mb = (const uint8_t *)a.other;
	int *mc = (int *)a.out, c[4];
	uint32_t fa[4] = {}, fb[2] = {};
	int group = threadIdx.x >> 2, member = threadIdx.x % 4;
	for (int i = 0; i < 16; i++) {
		int row = i < 4 || (8 <= i && i < 12) ? group : group + 8;
		int col = member * 4 + (i & 3) + (i >= 8 ? 16 : 0);
		fa[i / 4] |= (uint32_t)ma[row * 32 + col] << (8 * (i % 4));
	}
	for (int i = 0; i < 8; i++) {
		int row = member * 4 + (i & 3) + (i >= 4 ? 16 : 0);
		fb[i / 4] |= (uint32_t)mb[row * 8 + group] << (8 * (i % 4));
	}
	for (int i = 0; i < 4; i++) c[i] = mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)];
	mma_s8(c, fa, fb);
	for (int i = 0; i < 4; i++) mc[(i < 2 ? group : group + 8) * 8 + member * 2 + (i & 1)] = c[i];
}

// in: n words; out: 10 results for each.
KERNEL(bits, Data, 256, 1) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= a.n) return;
	uint32_t x = ((const uint32_t *)a.in)[i], y = ((const uint32_t *)a.other)[i], *out = (uint32_t *)a.out + 10 * (int64_t)i;
	out[0] = __popc(x);
	out[1] = __clz(x);
	out[2] = __ffs(x);
	out[3] = __brev(x);
	out[4] = __byte_perm(x, y, y & 0x7777);
	out[5] = __funnelshift_l(x, y, y);
	out[6] = __funnelshift_r(x, y, y);
	out[7] = __dp4a((int)x, (int)y, 7);
	out[8] = __dp4a(x, y, 7u);
	out[9] = __float2int_rn(__uint_as_float(x));
}

// in: f32; out: their f16.
KERNEL(halves, Data, 256, 1) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < a.n) ((uint16_t *)a.out)[i] = f2h(((const float *)a.in)[i]);
}
KERNEL(floats, Data, 256, 1) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < a.n) ((float *)a.out)[i] = h2f(((const uint16_t *)a.in)[i]);
}
