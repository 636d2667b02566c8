// What the kernels use of the machine and C++ has no name for: conversions,
// wide loads, asynchronous copies, tensor cores, memory order.
//
// Each wrapper has two bodies: PTX here, and the plain C++ that says what the
// PTX means in emulate.h, which compiles the same kernels for the host
// (EMULATE). Kernels hold no PTX of their own.
#pragma once

#ifdef EMULATE
#include "emulate.h"
#else

typedef unsigned char uint8_t;
typedef signed char int8_t;
typedef unsigned short uint16_t;
typedef short int16_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;

#define DEVICE static __device__ __forceinline__
#define DEVICE_CALL static __device__ __noinline__
#define SHARED __shared__

// A kernel of a recorded step may begin while the one before it is at work, and
// lets the next one begin (programmatic dependent launch, sm_90): it waits for
// what was written before at await_before. Others have not begun earlier.
DEVICE void await_before() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void begin_next() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// KERNEL defines a kernel of one argument `a`, a struct passed by value.
// EARLY_KERNEL is one that calls await_before by itself, when it has read what
// no step writes.
#define KERNEL_WITH(name, Args, threads, blocks, enter) \
	DEVICE void kernel_##name(const Args &a); \
	extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Args a) { enter; kernel_##name(a); } \
	DEVICE void kernel_##name(const Args &a)
#define EARLY_KERNEL(name, Args, threads, blocks) KERNEL_WITH(name, Args, threads, blocks, begin_next())
#define KERNEL(name, Args, threads, blocks) KERNEL_WITH(name, Args, threads, blocks, (begin_next(), await_before()))

// dynamic_shared is the block's dynamic shared memory, 128-byte aligned: behind 16
// bytes too many, copies of sectors of 32 bytes cost a token of Llama 3.1 8B a
// tenth of its time (one H200: 460 for 506 tok/s).
DEVICE char *dynamic_shared() {
	extern __shared__ __align__(128) char dynamic_memory[];
	return dynamic_memory;
}

DEVICE float h2f(uint16_t h) {
	float f;
	asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
	return f;
}

// f2h rounds to nearest even; overflow is infinity.
DEVICE uint16_t f2h(float f) {
	uint16_t h;
	asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
	return h;
}

// pack_h2 puts two numbers into the low and high half of a word.
DEVICE uint32_t pack_h2(float lo, float hi) { return (uint32_t)f2h(hi) << 16 | f2h(lo); }

// load16 and friends read memory that nothing writes while the kernel runs.
DEVICE uint4 load16(const void *p) { return __ldg((const uint4 *)p); }
DEVICE uint2 load8(const void *p) { return __ldg((const uint2 *)p); }
DEVICE uint32_t load4(const void *p) { return __ldg((const uint32_t *)p); }
DEVICE uint16_t load2(const void *p) { return __ldg((const uint16_t *)p); }

// stream16 is load16 for what is read once: it leaves the caches to others.
DEVICE uint4 stream16(const void *p) {
	uint4 v;
	asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
		: "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
	return v;
}

DEVICE void prefetch_l2(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// dp4a: c + the products of the four signed bytes of a and b. (NVRTC declares
// __dp4a and does not define it.)
DEVICE int dp4a(int a, int b, int c) {
	int d;
	asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

DEVICE uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

// async_copies says whether cp_async is what its name says.
#if __CUDA_ARCH__ >= 800
const bool async_copies = true;
#else
const bool async_copies = false;
#endif

// cp_async16 copies 16 (cp_async8: 8, cp_async4: 4) bytes to shared memory. The copy is
// complete for the thread that asked for it after a cp_async_wait<n> with no
// more than n groups committed since. Cards before sm_80 copy at once.
DEVICE void cp_async16(void *shared, const void *global) {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#else
	*(uint4 *)shared = *(const uint4 *)global;
#endif
}
DEVICE void cp_async8(void *shared, const void *global) {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#else
	*(uint2 *)shared = *(const uint2 *)global;
#endif
}
DEVICE void cp_async4(void *shared, const void *global) {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#else
	*(uint32_t *)shared = *(const uint32_t *)global;
#endif
}

// cp_async16_wide is cp_async16 that has L2 bring the 256 bytes around.
DEVICE void cp_async16_wide(void *shared, const void *global) {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#else
	*(uint4 *)shared = *(const uint4 *)global;
#endif
}

DEVICE void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int n> DEVICE void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
	asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
#endif
}

// ldmatrix4 loads four 8×8 matrices of 16-bit numbers: lane i gives the address
// of row i%8 of matrix i/8; lane i gets numbers 2(i%4), 2(i%4)+1 of row i/4 of
// each. ldmatrix4t transposes them (PTX ISA, ldmatrix).
DEVICE void ldmatrix4(uint32_t r[4], const void *row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
		: "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix4t(uint32_t r[4], const void *row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
		: "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix2(uint32_t r[2], const void *row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
		: "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

// mma_f16: c (16×8 f32) += a (16×16 f16) · b (16×8 f16), the fragments of PTX's
// mma.m16n8k16; two m16n8k8 before sm_80.
DEVICE void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
	asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(b[0]));
	asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#endif
}

// mma_s8: c (16×8 i32) += a (16×32 i8) · b (32×8 i8), the fragments of PTX's
// mma.m16n8k32; four m8n8k16 before sm_80.
DEVICE void mma_s8(int c[4], const uint32_t a[4], const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 800
	asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
	asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[0]), "+r"(c[1]) : "r"(a[0]), "r"(b[0]));
	asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[2]), "+r"(c[3]) : "r"(a[1]), "r"(b[0]));
	asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[0]), "+r"(c[1]) : "r"(a[2]), "r"(b[1]));
	asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" : "+r"(c[2]), "+r"(c[3]) : "r"(a[3]), "r"(b[1]));
#endif
}

// look reads a word that others may be writing, look4 four, each by itself, and
// look8 8 bytes at once. put_word and put8 write them. They order nothing else.
DEVICE uint32_t look(const void *p) {
	uint32_t v;
	asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
	return v;
}
DEVICE uint4 look4(const void *p) {
	uint4 v;
	asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
	return v;
}
DEVICE uint64_t look8(const void *p) {
	uint64_t v;
	asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
	return v;
}
DEVICE void put8(void *p, uint64_t v) { asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory"); }
DEVICE void put_word(void *p, uint32_t v) { asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }

// fresh16 and friends read past L1 what this kernel may have written.
DEVICE uint4 fresh16(const void *p) { return __ldcg((const uint4 *)p); }
DEVICE uint2 fresh8(const void *p) { return __ldcg((const uint2 *)p); }
DEVICE uint32_t fresh4(const void *p) { return __ldcg((const uint32_t *)p); }
DEVICE uint16_t fresh2(const void *p) { return __ldcg((const uint16_t *)p); }

// thread_index is threadIdx.x, read where it stands: what is computed from it is
// not kept in registers from before.
DEVICE unsigned thread_index() {
	unsigned i;
	asm volatile("mov.u32 %0, %%tid.x;" : "=r"(i));
	return i;
}

// ex2 is 2ˣ within two units of the last place; results below 2⁻¹²⁶ are 0.
DEVICE float ex2(float x) {
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

// add_h2, sub_h2, mul_h2 and fma_h2 (a·b + c) work on the two f16 of a word,
// each rounded once.
DEVICE uint32_t sub_h2(uint32_t a, uint32_t b) {
	uint32_t c;
	asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(c) : "r"(a), "r"(b));
	return c;
}
DEVICE uint32_t fma_h2(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t d;
	asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}
DEVICE uint32_t add_h2(uint32_t a, uint32_t b) {
	uint32_t c;
	asm("add.rn.f16x2 %0, %1, %2;" : "=r"(c) : "r"(a), "r"(b));
	return c;
}
DEVICE uint32_t mul_h2(uint32_t a, uint32_t b) {
	uint32_t c;
	asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(c) : "r"(a), "r"(b));
	return c;
}

// load_fresh reads past L1 what other blocks wrote in this kernel.
DEVICE float load_fresh(const float *p) { return __ldcg(p); }
DEVICE float4 load_fresh4(const float *p) { return __ldcg((const float4 *)p); }

// sync_some is __syncthreads for so many threads, whole warps, that come to
// barrier `number`, 1 to 15, while all others of the block come to others.
DEVICE void sync_some(int number, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory"); }

// pause is the body of a spinning loop.
DEVICE void pause() { __nanosleep(20); }

// spin is that of a loop that has no time to lose.
DEVICE void spin() {}

#endif

#ifdef EMULATE
DEVICE int dp4a(int a, int b, int c) { return __dp4a(a, b, c); }
#endif

const uint32_t full_warp = 0xffffffff;

DEVICE float bf2f(uint16_t b) { return __uint_as_float((uint32_t)b << 16); }

// f2bf rounds to nearest even and keeps NaN.
DEVICE uint16_t f2bf(float f) {
	uint32_t u = __float_as_uint(f);
	if (f != f) return 0x7fff;
	return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

DEVICE float negative_infinity() { return __int_as_float(0xff800000); }

DEVICE float warp_sum(float v) {
	for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(full_warp, v, i);
	return v;
}

DEVICE float warp_max(float v) {
	for (int i = 16; i > 0; i /= 2) v = fmaxf(v, __shfl_xor_sync(full_warp, v, i));
	return v;
}
