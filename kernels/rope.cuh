// Angles of rotary embeddings: a table holds the turns (of 2π) that a pair
// makes from one position to the next, as the sum of two floats. float alone
// is off by a radian at a million.
#pragma once
#include "cuda.cuh"

// cos_sin of an angle in turns, |turns| ≤ 1/2: the quarter is taken off, the
// rest is a polynomial on [-π/4, π/4] (S. Moshier, Cephes, sinf.c).
DEVICE float2 cos_sin(float turns) {
	float quarters = rintf(4 * turns);
	float x = (turns - 0.25f * quarters) * 6.28318530717958648f, z = x * x;
	float s = fmaf(fmaf(fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f) * z, x, x);
	float c = fmaf(fmaf(fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f), z * z, fmaf(-0.5f, z, 1));
	switch ((int)quarters & 3) {
	case 1: return make_float2(-s, c);
	case 2: return make_float2(-c, -s);
	case 3: return make_float2(s, -c);
	}
	return make_float2(c, s);
}

// rope_angle is cos and sin for a pair at a position below 2²⁴.
DEVICE float2 rope_angle(float2 turns, int position) {
	float p = position;
	float whole = p * turns.x;
	float rest = fmaf(p, turns.x, -whole) + p * turns.y; // what `whole` was rounded by, exactly; and the low part
	float t = (whole - rintf(whole)) + rest;
	return cos_sin(t - rintf(t));
}

// turned is a pair of numbers turned by an angle (cos, sin).
DEVICE float2 turned(float a, float b, float2 angle) {
	return make_float2(a * angle.x - b * angle.y, a * angle.y + b * angle.x);
}
