// Single numbers of the plain types, whose type is known when a kernel runs:
// for operations that wait for memory anyway.
#pragma once
#include "cuda.cuh"
#include "format.cuh"

// number_at is number i as float32, rounded to nearest.
DEVICE float number_at(const void *p, int type, int64_t i) {
	switch (type) {
	case F32: return plain_number<F32>((const char *)p, i);
	case F16: return plain_number<F16>((const char *)p, i);
	case BF16: return plain_number<BF16>((const char *)p, i);
	case F64: return plain_number<F64>((const char *)p, i);
	case I8: return plain_number<I8>((const char *)p, i);
	case I16: return plain_number<I16>((const char *)p, i);
	case I32: return plain_number<I32>((const char *)p, i);
	case I64: return plain_number<I64>((const char *)p, i);
	}
	return 0;
}

// truncated is v without its fraction, the nearest integer of so many bits if
// it is beyond them, and 0 for NaN.
template <typename F> DEVICE int64_t truncated(F v, int bits) {
	F limit = (F)((uint64_t)1 << (bits - 1));
	if (v != v) return 0;
	if (v >= limit) return (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
	if (v <= -limit) return -(int64_t)(((uint64_t)1 << (bits - 1)) - 1) - 1;
	return (int64_t)v;
}

// put_integer keeps the low bits of v.
DEVICE void put_integer(void *p, int type, int64_t i, int64_t v) {
	switch (type) {
	case I8: ((int8_t *)p)[i] = (int8_t)v; break;
	case I16: ((int16_t *)p)[i] = (int16_t)v; break;
	case I32: ((int32_t *)p)[i] = (int32_t)v; break;
	case I64: ((int64_t *)p)[i] = v; break;
	}
}

DEVICE int integer_bits(int type) { return type == I8 ? 8 : type == I16 ? 16 : type == I32 ? 32 : 64; }

// put_number rounds v to number i of a type.
DEVICE void put_number(void *p, int type, int64_t i, float v) {
	switch (type) {
	case F32: ((float *)p)[i] = v; break;
	case F16: ((uint16_t *)p)[i] = f2h(v); break;
	case BF16: ((uint16_t *)p)[i] = f2bf(v); break;
	case F64: ((double *)p)[i] = v; break;
	default: put_integer(p, type, i, truncated(v, integer_bits(type)));
	}
}
