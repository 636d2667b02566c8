// Pairs of f16 in a word, beyond what cuda.cuh has of them: for few.cuh alone, so far.
#pragma once
#include "cuda.cuh"

#ifdef EMULATE

template <uint32_t mask> DEVICE uint32_t and_or(uint32_t v, uint32_t w) { return (v & mask) | w; }

DEVICE uint32_t within_h2(uint32_t v, uint32_t most) {
	float by[2];
	for (int i = 0; i < 2; i++) by[i] = fminf(fmaxf(h2f(v >> 16 * i), -h2f(most >> 16 * i)), h2f(most >> 16 * i));
	return pack_h2(by[0], by[1]);
}

#else

// and_or is (v & mask) | w in one instruction, where w is no constant.
template <uint32_t mask> DEVICE uint32_t and_or(uint32_t v, uint32_t w) {
	uint32_t r;
	asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(v), "n"(mask), "r"(w));
	return r;
}

// within_h2 keeps v from -most to most, each f16 for itself; infinities, too.
DEVICE uint32_t within_h2(uint32_t v, uint32_t most) {
#if __CUDA_ARCH__ >= 800
	uint32_t r;
	asm("min.f16x2 %0, %1, %2;" : "=r"(r) : "r"(v), "r"(most));
	asm("max.f16x2 %0, %1, %2;" : "=r"(r) : "r"(r), "r"(most ^ 0x80008000));
	return r;
#else
	float lo = h2f((uint16_t)most), hi = h2f((uint16_t)(most >> 16));
	return pack_h2(fminf(fmaxf(h2f((uint16_t)v), -lo), lo), fminf(fmaxf(h2f((uint16_t)(v >> 16)), -hi), hi));
#endif
}

#endif
