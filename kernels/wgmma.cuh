// Hopper's warpgroup products (PTX ISA, wgmma): four warps multiply matrices
// that lie in shared memory, and go on while the tensor cores work. Beside
// cuda.cuh, for only modules that say HOPPER are compiled for sm_90a.
#pragma once
#include "cuda.cuh"

// A matrix in shared memory is rows of 64 f16, 128 bytes, from a multiple of
// 1024 bytes on; 16-byte unit u of row r lies at place u ^ (r mod 8). matrix is
// its descriptor; 16 columns on it is 2 more. further is that of a matrix so many
// times 16 bytes on: the lower half of a descriptor never overflows.

#ifdef EMULATE

#define wgmma_there (emu_capability() >= 90)

DEVICE char *aligned_shared(char *p) { return p + (-(size_t)p & 1023); }
DEVICE uint64_t matrix(const char *p) { return (uint64_t)p >> 4; }
DEVICE uint64_t further(uint64_t m, uint32_t by) { return m + by; }
DEVICE void wgmma_fence() {}
DEVICE void wgmma_commit() {}
template <int n, int N> DEVICE void wgmma_wait(float (&c)[N]) {}
DEVICE void async_fence() {}

struct emu_wgmma_operands { float *c; uint64_t a, b; unsigned warp; };

DEVICE float emu_matrix(uint64_t m, int row, int column) {
	uint64_t at = (m << 4) + row * 128 + column * 2;
	return h2f(*(const uint16_t *)(at ^ (at >> 7 & 7) << 4));
}

DEVICE void emu_wgmma(unsigned mask, const void *const in[32], void *const out[32], int) {
	emu_whole_warp("wgmma_f16", mask);
	const emu_wgmma_operands &first = *(const emu_wgmma_operands *)in[0];
	float a[16][16];
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 16; k++) a[i][k] = emu_matrix(first.a, first.warp % 4 * 16 + i, k);
	for (int j = 0; j < 256; j++) {
		float b[16];
		for (int k = 0; k < 16; k++) b[k] = emu_matrix(first.b, j, k);
		for (int i = 0; i < 16; i++) {
			double sum = 0;
			for (int k = 0; k < 16; k++) sum += (double)a[i][k] * b[k];
			((const emu_wgmma_operands *)in[i % 8 * 4 + j % 8 / 2])->c[j / 8 * 4 + i / 8 * 2 + j % 2] += (float)sum;
		}
	}
}
DEVICE void wgmma_f16(float c[128], uint64_t a, uint64_t b) {
	emu_wgmma_operands o = {c, a, b, threadIdx.x / 32};
	emu_collective("wgmma_f16", emu_wgmma, 0xffffffff, &o, 0, 0);
}

struct emu_wgmma_rows { float *c; const uint32_t *a; uint64_t b; };

// As emu_mma_f16, with 8·n columns of b.
DEVICE void emu_rows(unsigned mask, const void *const in[32], void *const out[32], int n) {
	emu_whole_warp("wgmma_rows", mask);
	const uint64_t b = ((const emu_wgmma_rows *)in[0])->b;
	for (int i = 0; i < 16; i++) {
		float a[16];
		for (int k = 0; k < 16; k++) {
			const emu_wgmma_rows &f = *(const emu_wgmma_rows *)in[i % 8 * 4 + k % 8 / 2];
			if (f.b != b) emu_fault(EMU_ILLEGAL_INSTRUCTION, "wgmma_rows: lanes have different matrices");
			a[k] = h2f(f.a[k / 8 * 2 + i / 8] >> 16 * (k % 2));
		}
		for (int j = 0; j < 8 * n; j++) {
			double sum = 0;
			for (int k = 0; k < 16; k++) sum += (double)a[k] * emu_matrix(b, j, k);
			((const emu_wgmma_rows *)in[i % 8 * 4 + j % 8 / 2])->c[j / 8 * 4 + i / 8 * 2 + j % 2] += (float)sum;
		}
	}
}
template <int n> DEVICE void wgmma_rows(float (&c)[4 * n], const uint32_t a[4], uint64_t b) {
	emu_wgmma_rows o = {c, a, b};
	emu_collective("wgmma_rows", emu_rows, 0xffffffff, &o, 0, n);
}

#else

// wgmma_there says whether the machine that is compiled for has it.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
const bool wgmma_there = true;
#else
const bool wgmma_there = false;
#endif

DEVICE char *aligned_shared(char *p) { return p + (-shared_address(p) & 1023); }

// matrix: address, 1024 bytes from 8 rows to the next 8, swizzle of 128 bytes.
DEVICE uint64_t matrix(const char *p) {
	return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 16 | (shared_address(p) & 0x3ffff) >> 4;
}

DEVICE uint64_t further(uint64_t m, uint32_t by) { return m >> 32 << 32 | (uint32_t)((uint32_t)m + by); }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// wgmma_fence orders a warpgroup's use of registers and shared memory before its
// next wgmma_f16. What other threads copied to shared memory is seen after
// their async_fence and a barrier.
DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
DEVICE void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// wgmma_wait returns when no more than n committed groups are under way; c may
// be read after wgmma_wait<0>.
template <int n, int N> DEVICE void wgmma_wait(float (&c)[N]) {
#pragma unroll
	for (int i = 0; i < N; i++) asm volatile("" : "+f"(c[i])::"memory");
	asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
#pragma unroll
	for (int i = 0; i < N; i++) asm volatile("" : "+f"(c[i])::"memory");
}

#define FOUR(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define SIXTEEN(i) FOUR(i), FOUR(i + 4), FOUR(i + 8), FOUR(i + 12)

// wgmma_f16: c (64×256 f32) += a (64×16 f16) · bᵀ (256×16 f16). Warp i of the
// four has rows 16i on; c[4j+e] is that of mma_f16 for columns 8j on.
DEVICE void wgmma_f16(float c[128], uint64_t a, uint64_t b) {
	asm volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
		"{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
		"%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
		"%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
		"%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
		"%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
		"%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
		"%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
		"%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "
		"%128, %129, p, 1, 1, 0, 0;}"
		: SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48), SIXTEEN(64), SIXTEEN(80), SIXTEEN(96), SIXTEEN(112)
		: "l"(a), "l"(b));
}

// wgmma_rows is the same for 8·n columns of b, n 1 or 4, and a from registers: each
// warp's are the fragments of mma_f16, which must stay as they are until the
// product is waited for.
template <int n> DEVICE void wgmma_rows(float (&c)[4 * n], const uint32_t a[4], uint64_t b) {
	static_assert(n == 1 || n == 4, "these are there");
	if constexpr (n == 1)
		asm volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 "
			"{%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, p, 1, 1, 0;}"
			: FOUR(0) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
	else
		asm volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
			"{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, p, 1, 1, 0;}"
			: SIXTEEN(0) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef FOUR
#undef SIXTEEN

#else
DEVICE void wgmma_fence() {}
DEVICE void wgmma_commit() {}
DEVICE void async_fence() {}
template <int n, int N> DEVICE void wgmma_wait(float (&c)[N]) {}
DEVICE void wgmma_f16(float c[128], uint64_t a, uint64_t b) {}
template <int n> DEVICE void wgmma_rows(float (&c)[4 * n], const uint32_t a[4], uint64_t b) {}
#endif
#endif
