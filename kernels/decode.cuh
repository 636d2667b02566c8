// Attention of few queries over a long cache: softmax(q·kᵀ·scale)·v.
//
// Bound by reading the cache once. The context is split over blocks (flash
// decoding, Dao et al. 2023): a unit of work is up to 8 rows that share a key
// head, a row being a query head of a query, over one split. Inside a block
// each warp takes 16 keys at a time, and scores and sums go through the tensor
// cores straight from registers:
//
//	scores (16 × 8 keys)  = q (rows · dims) · kᵀ: f16 rows 0-7 are q rounded, rows
//	                        8-15 what rounding left, so that q counts with 22 bits
//	out    (16 dims × 8)  = vᵀ (dims × 16 keys) · weights (16 keys × rows)
//
// The order of dims in a product is free, so a lane loads 8 neighbours at once
// and calls them the dims that the fragment wants. Large heads take teams of
// warps: each scores 8 keys, and sums some dims of all keys of the team.
//
// Splits leave their largest scores, sums and values in `partials`, and are joined
// in an order that is the same every time: by the last to arrive; or, where numbers
// are tagged, each joins a share of the numbers when all are there. So a block may
// have two units there only where a unit is all of a set.
#pragma once
#include "attention.cuh"
#include "rope.cuh"
#include "tagged.cuh"

#ifndef DECODE_THREADS
#define DECODE_THREADS 512
#endif

namespace attention {

// Decode is one attention of n queries. With k_new, of one query, it is also
// what comes before: the norm and the turning of q and k, and the store of k
// and v. The norm and the turning of q are there with and without k_new.
struct Decode {
	const float *q;       // (n, heads, dim)
	const float *k_new;   // (kv_heads, dim), or null: the caches hold all keys
	const float *v_new;   // (kv_heads, dim)
	const float *q_norm;  // (dim), or null: no RMSNorm
	const float *k_norm;  // (dim)
	const float2 *turns;  // (rope/2): rope.cuh's table
	char *k, *v;          // caches (rows, kv_heads·dim)
	const int32_t *pos;   // (n)
	float *dst;           // (n, heads, dim)
	char *partials;       // decode_partial numbers for each unit (Stamped, where numbers are tagged); unused if splits is 1
	uint32_t *counters;   // (sets), 0; left 0. Unused where numbers are tagged
	uint64_t fault;
	int32_t n, heads, kv_heads, group; // group = heads/kv_heads
	int32_t passes;       // ceil(n·group / 8)
	int32_t sets;         // kv_heads·passes; a unit is split·sets + set
	uint32_t sets_inverse; // 2³¹/sets, rounded up
	int32_t splits;       // of the context at most
	int32_t split_shift;  // a split has 1<<split_shift keys or more
	int32_t rows, window; // window: keys that a query sees at most
	int32_t rope, neox;   // numbers of a head that are turned; pairs (i, i+rope/2) or (2i, 2i+1)
	float scale, softcap, eps, mscale;
	uint8_t q_tag, k_tag, v_tag, dst_tag; // codes, where numbers are tagged
	int32_t number, of;   // where numbers are tagged: of so many attentions of a launch it is which
	int32_t pad;
};

// A Crowd is the attention of n queries, each of its own sequence or not, that
// know nothing of each other: `one` is that of the first, over sequence 0.
struct Crowd {
	Decode one;
	const int32_t *seq; // (n), or null: all of sequence 0
	int32_t n, seqs;
	int32_t units;      // of a query: one.sets·one.splits
	int32_t pad;
};

const int decode_warps = DECODE_THREADS / 32;

// decode_partial is what a unit leaves in partials, in floats.
template <int DIM> DEVICE constexpr int decode_partial() { return 8 * (DIM + 2); }

// What a block has in shared memory, decode_shared bytes: while it scores, the
// rows of q and the new key and value; then the sums of warps (slots).
const int decode_shared = 24 << 10, decode_slots = 22 << 10;
template <int DIM, int TYPE> struct DecodeShared {
	uint16_t q[16][DIM + 8];
	char fresh[2][2 * DIM];                       // new key and value, as a cache holds them
	float plain[2][TYPE == CACHE_Q8_0 ? DIM : 4]; // and before
	float2 score[2][DIM >= 96 ? decode_warps : 1][32];
};
struct DecodeSums { // after the slots
	float2 team[decode_warps][8]; // largest score of each row, and sum of its weights
	float factor[8];              // of the scores of a row; of its sums
	int kv, set, split, splits, first, rows; // of the unit: they wait here while warps need their registers
	int last;
};

// A Head is a head's numbers in a warp: lane i has the pairs i, i+32, … that
// are turned together, and what they are multiplied by and turned by.
template <int DIM> struct Head {
	float x[(DIM + 63) / 64][2], w[(DIM + 63) / 64][2];
	float2 turn[(DIM + 63) / 64];
};

// pair_at is where the two numbers of a pair lie in a head.
DEVICE int2 pair_at(const Decode &a, int pair) {
	return a.neox && pair < a.rope / 2 ? make_int2(pair, pair + a.rope / 2) : make_int2(2 * pair, 2 * pair + 1);
}

template <int DIM> DEVICE void read_head(unsigned thread, Head<DIM> &h, const Decode &a, const float *x, const float *norm) {
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		int pair = thread % 32 + 32 * i;
		h.x[i][0] = h.x[i][1] = 0, h.w[i][0] = h.w[i][1] = 1, h.turn[i] = make_float2(0, 0);
		if (pair >= DIM / 2) continue;
		int2 at = pair_at(a, pair);
		if (tagging) h.x[i][0] = __uint_as_float(look(x + at.x)), h.x[i][1] = __uint_as_float(look(x + at.y));
		else h.x[i][0] = load_fresh(x + at.x), h.x[i][1] = load_fresh(x + at.y);
		if (norm) h.w[i][0] = __uint_as_float(load4(norm + at.x)), h.w[i][1] = __uint_as_float(load4(norm + at.y));
		if (pair < a.rope / 2) {
			uint2 turn = load8(a.turns + pair);
			h.turn[i] = make_float2(__uint_as_float(turn.x), __uint_as_float(turn.y));
		}
	}
}

// each_number calls f for what a lane has of a head: x[i][j] is number d.
template <int DIM, class F> DEVICE void each_number(unsigned thread, const Decode &a, F f) {
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		int pair = thread % 32 + 32 * i;
		if (pair >= DIM / 2) continue;
		int2 at = pair_at(a, pair);
#pragma unroll
		for (int j = 0; j < 2; j++) f(i, j, j ? at.y : at.x);
	}
}

// await_head waits for the numbers of a head that read_head came too early for.
template <int DIM> DEVICE void await_head(unsigned thread, Head<DIM> &h, const Decode &a, const float *x, Tag t) {
	each_number<DIM>(thread, a, [&](int i, int j, int d) {
		uint32_t word = __float_as_uint(h.x[i][j]);
		while (!has(word, t)) {
			spin();
			word = look(x + d);
		}
		h.x[i][j] = number_of(word, t);
	});
}

// turn_to makes the turns of a head's pairs angles (cos, sin) at pos.
template <int DIM> DEVICE void turn_to(Head<DIM> &h, int pos) {
	for (auto &turn : h.turn) turn = rope_angle(turn, pos);
}

// norm_and_turn: RMSNorm, where there is one, and RoPE of a head by its angles.
template <int DIM> DEVICE void norm_and_turn(unsigned thread, Head<DIM> &h, const Decode &a, bool norm) {
	if (norm) {
		float square = 0;
		for (auto &x : h.x) square += x[0] * x[0] + x[1] * x[1];
		float r = rsqrtf(warp_sum(square) / DIM + a.eps);
#pragma unroll
		for (int i = 0; i < (DIM + 63) / 64; i++) h.x[i][0] *= r * h.w[i][0], h.x[i][1] *= r * h.w[i][1];
	}
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		if ((int)thread % 32 + 32 * i >= a.rope / 2) continue;
		float2 y = turned(h.x[i][0], h.x[i][1], h.turn[i]);
		h.x[i][0] = y.x * a.mscale, h.x[i][1] = y.y * a.mscale;
	}
}

// column is where number d of a head lies in the rows of q: the order in which
// the tensor cores see what the lanes load.
template <int DIM> DEVICE int column(int d) {
	int t = d % 32 / 8, step = d % 8 / 4;
	if (DIM % 32 && d >= DIM / 32 * 32) t = d % 16 / 4, step = 0;
	return d / 32 * 32 + step * 16 + d % 4 / 2 * 8 + t * 2 + d % 2;
}

// put_query makes a head the rows `row` and row+8 of q. Numbers are scaled by a
// power of two that brings the largest between 1 and 2.
template <int DIM, int TYPE> DEVICE void put_query(unsigned thread, const Head<DIM> &h, const Decode &a, int row, DecodeShared<DIM, TYPE> *s, DecodeSums *sums) {
	float top = 0;
	for (auto &x : h.x) top = fmaxf(top, fmaxf(fabsf(x[0]), fabsf(x[1])));
	int exponent = min(max((int)(__float_as_uint(warp_max(top)) >> 23), 1), 253);
	float up = __uint_as_float((254 - exponent) << 23), down = __uint_as_float(exponent << 23);
	each_number<DIM>(thread, a, [&](int i, int j, int d) {
		float x = h.x[i][j] * up;
		uint16_t high = f2h(x);
		int c = column<DIM>(d);
		s->q[row][c] = high;
		s->q[row + 8][c] = f2h(x - h2f(high));
	});
	if (thread % 32 == 0) sums->factor[row] = score_factor(down * a.scale, a.softcap);
}

// put_new writes a new key (which 0) or value (1) as the cache holds it to
// shared memory, and to number `to` on of the cache if `keep`.
template <int DIM, int TYPE>
DEVICE void put_new(unsigned thread, const Head<DIM> &h, const Decode &a, int which, DecodeShared<DIM, TYPE> *s, char *cache, int64_t to, int64_t total, bool keep) {
	int lane = thread % 32;
	char *fresh = s->fresh[which];
	each_number<DIM>(thread, a, [&](int i, int j, int d) {
		if constexpr (TYPE == CACHE_Q8_0) {
			s->plain[which][d] = h.x[i][j];
		} else {
			uint16_t x = f2h(h.x[i][j]);
			((uint16_t *)fresh)[d] = x;
			if (keep) *(uint16_t *)cache_at<TYPE>(cache, to + d) = x;
		}
	});
	if constexpr (TYPE == CACHE_Q8_0) {
		__syncwarp();
		for (int d = lane; d < DIM; d += 32) {
			float x = s->plain[which][d], inverse, scale = q8_scale(x, &inverse);
			int8_t q = q8_number(x, inverse);
			fresh[d] = q;
			if (lane == 0) *(uint16_t *)(fresh + DIM + d / 16) = f2h(scale);
			if (!keep) continue;
			*(int8_t *)cache_at<TYPE>(cache, to + d) = q;
			if (lane == 0) *(uint16_t *)cache_scale(cache, to + d, total) = f2h(scale);
		}
	}
}

// A Team is the warps that share a tile of keys. A warp scores 8·scored of them,
// with one of `halves` parts of the head, and sums `dims` numbers of all.
template <int DIM, int TYPE> struct Team {
	static const int warps = DIM == 256 ? 8 : DIM == 128 || DIM == 96 && TYPE == CACHE_F16 ? 2 : 1;
	static const int halves = DIM == 256 ? 2 : 1, width = DIM / halves, scored = warps == 1 ? 2 : 1;
	static const int keys = 8 * scored * warps / halves, dims = DIM / warps, count = decode_warps / warps;
};

// A Span is the part of a cache that a unit reads: numbers `first` on of the
// rows, positions up to last; position p is at row p-turn, or p-turn-rows.
struct Span {
	int cols, first, rows, turn, last;
	int64_t total; // of a Crowd: for cache_scale
};

// A Spot is where a position's numbers are in a cache: number `less` of the
// head, and the scale of its first.
struct Spot {
	const char *numbers, *scale;
};

// row_of is the row of a position.
DEVICE int row_of(const Span &s, int position) {
	int row = position - s.turn;
	return row >= s.rows ? row - s.rows : row;
}

// spot of a position past the last is that of the last: what is read there gets
// the weight 0, and has to be finite. Rows and heads begin at multiples of 16
// numbers, so that 32 bits count as far as caches go.
template <int TYPE, bool CROWD> DEVICE Spot spot(const char *cache, const Span &s, int position, int less) {
	uint32_t at = (uint32_t)row_of(s, min(position, s.last)) * (s.cols / 16) + s.first / 16;
	return {cache_at<TYPE>(cache_at<TYPE>((char *)cache, less), (uint64_t)at * 16), cache_scale((char *)cache, (uint64_t)at * 16, CROWD ? s.total : (int64_t)s.rows * s.cols)};
}

// fetch_strip reads N numbers a lane, from number `first` on.
template <int TYPE, int N, int KEYS> DEVICE void fetch_strip(Piece<TYPE, N> (&p)[KEYS], const Spot (&at)[KEYS], int first, int less) {
#pragma unroll
	for (int i = 0; i < KEYS; i++) fetch(p[i], at[i].numbers + (first - less) * (TYPE == CACHE_Q8_0 ? 1 : 2), at[i].scale + first / 32 * 2);
}

// What a lane has of the keys that its warp scores, and of the values that it
// sums: strips of 8 numbers, and strips of fewer for what is left of the head.
template <int DIM, int TYPE> struct Keys {
	Piece<TYPE, 8> wide[Team<DIM, TYPE>::width / 32][Team<DIM, TYPE>::scored];
	Piece<TYPE, 4> rest[Team<DIM, TYPE>::scored];
};
template <int DIM, int TYPE> struct Values {
	Piece<TYPE, 8> wide[(Team<DIM, TYPE>::dims + 32) / 64][Team<DIM, TYPE>::keys / 4];
	Piece<TYPE, 4> half[Team<DIM, TYPE>::keys / 4];
	Piece<TYPE, TYPE == CACHE_Q8_0 ? 4 : 2> rest[Team<DIM, TYPE>::keys / 4]; // f16 alone
};

// value_at is the position of lane's value i in a tile.
DEVICE int value_at(unsigned thread, int i) { return i / 2 * 8 + thread % 4 * 2 + i % 2; }

template <int DIM, int TYPE, bool CROWD> DEVICE void fetch_keys(unsigned thread, Keys<DIM, TYPE> &k, const char *cache, const Span &s, int position, int dim) {
	const int n = Team<DIM, TYPE>::scored, width = Team<DIM, TYPE>::width;
	int t = thread % 4, less = dim + 8 * t;
	Spot at[n];
#pragma unroll
	for (int i = 0; i < n; i++) at[i] = spot<TYPE, CROWD>(cache, s, position + 8 * i, less);
#pragma unroll
	for (int c = 0; c < width / 32; c++) fetch_strip(k.wide[c], at, 32 * c + less, less);
	if constexpr (width % 32) fetch_strip(k.rest, at, dim + width / 32 * 32 + 4 * t, less);
}

template <int DIM, int TYPE, bool CROWD> DEVICE void fetch_values(unsigned thread, Values<DIM, TYPE> &v, const char *cache, const Span &s, int position, int dim) {
	const int n = Team<DIM, TYPE>::keys / 4, dims = Team<DIM, TYPE>::dims;
	int g = thread % 32 / 4, less = dim + 8 * g;
	Spot at[n];
#pragma unroll
	for (int i = 0; i < n; i++) at[i] = spot<TYPE, CROWD>(cache, s, position + value_at(thread, i), less);
#pragma unroll
	for (int c = 0; c < dims / 64; c++) fetch_strip(v.wide[c], at, 64 * c + less, less);
	if constexpr (dims % 64 >= 32) fetch_strip(v.half, at, dim + dims / 64 * 64 + 4 * g, less);
	if constexpr (dims % 32) fetch_strip(v.rest, at, dim + dims / 32 * 32 + 2 * g, less);
}

// patch puts number `at` on of the new key or value into a piece.
template <int DIM, int TYPE, int N> DEVICE void patch(Piece<TYPE, N> &p, const char *fresh, int at) {
	fetch_shared(p, fresh + at * (TYPE == CACHE_Q8_0 ? 1 : 2), fresh + DIM + at / 32 * 2);
}

// patch_keys and patch_values put the new key and value in their place; it is
// key `fresh` of those that the warp scores, or of the tile.
template <int DIM, int TYPE> DEVICE void patch_keys(unsigned thread, Keys<DIM, TYPE> &k, int dim, int fresh, const char *key) {
	const int width = Team<DIM, TYPE>::width;
	int t = thread % 4, g = thread % 32 / 4;
#pragma unroll
	for (int i = 0; i < Team<DIM, TYPE>::scored; i++) {
		if (fresh != g + 8 * i) continue;
#pragma unroll
		for (int c = 0; c < width / 32; c++) patch<DIM>(k.wide[c][i], key, dim + 32 * c + 8 * t);
		if constexpr (width % 32) patch<DIM>(k.rest[i], key, dim + width / 32 * 32 + 4 * t);
	}
}

template <int DIM, int TYPE> DEVICE void patch_values(unsigned thread, Values<DIM, TYPE> &v, int dim, int fresh, const char *value) {
	const int dims = Team<DIM, TYPE>::dims;
	int g = thread % 32 / 4;
#pragma unroll
	for (int i = 0; i < Team<DIM, TYPE>::keys / 4; i++) {
		if (fresh != value_at(thread, i)) continue;
#pragma unroll
		for (int c = 0; c < dims / 64; c++) patch<DIM>(v.wide[c][i], value, dim + 64 * c + 8 * g);
		if constexpr (dims % 64 >= 32) patch<DIM>(v.half[i], value, dim + dims / 64 * 64 + 4 * g);
		if constexpr (dims % 32) patch<DIM>(v.rest[i], value, dim + dims / 32 * 32 + 2 * g);
	}
}

// score: lane i gets those of row i/4 with keys 2(i%4), 2(i%4)+1 of each 8, as
// far as numbers `dim` on of the head make them.
template <int DIM, int TYPE> DEVICE void score(unsigned thread, float2 (&s)[Team<DIM, TYPE>::scored], const Keys<DIM, TYPE> &k, int dim, const DecodeShared<DIM, TYPE> *shared) {
	const int n = Team<DIM, TYPE>::scored, width = Team<DIM, TYPE>::width, strips = width / 32;
	int lane = thread % 32;
	const uint16_t *q = &shared->q[lane % 16][lane / 16 * 8] + dim;
	float c[2][n][4] = {}; // two chains of products take less time than one
	uint32_t a[4];
#pragma unroll
	for (int i = 0; i < width / 16; i++) {
		ldmatrix4(a, q + 16 * i);
#pragma unroll
		for (int j = 0; j < n; j++) {
			bool wide = i < 2 * strips;
			uint32_t b[2];
			b[0] = wide ? word(k.wide[i / 2 % strips][j], i % 2 * 2) : word(k.rest[j], 0);
			b[1] = wide ? word(k.wide[i / 2 % strips][j], i % 2 * 2 + 1) : word(k.rest[j], 1);
			mma_f16(c[i % 2][j], a, b);
		}
	}
#pragma unroll
	for (int j = 0; j < n; j++)
		s[j] = make_float2(c[0][j][0] + c[1][j][0] + (c[0][j][2] + c[1][j][2]), c[0][j][1] + c[1][j][1] + (c[0][j][3] + c[1][j][3]));
}

// sum_strip adds 16 values of a strip, weighted by b, to 8·N dims.
template <int TYPE, int N> DEVICE void sum_strip(float (*sum)[4], const Piece<TYPE, N> *v, const uint32_t b[2]) {
#pragma unroll
	for (int j = 0; j < N / 2; j++) {
		uint32_t x[4] = {word(v[0], j), word(v[1], j), word(v[2], j), word(v[3], j)};
		uint32_t a[4] = {__byte_perm(x[0], x[1], 0x5410), __byte_perm(x[0], x[1], 0x7632),
			__byte_perm(x[2], x[3], 0x5410), __byte_perm(x[2], x[3], 0x7632)};
		mma_f16(sum[j], a, b);
	}
}

// add_values adds 16 values of the tile, those from i·16 on.
template <int DIM, int TYPE> DEVICE void add_values(float (*sum)[4], const Values<DIM, TYPE> &v, int i, const uint32_t b[2]) {
	const int dims = Team<DIM, TYPE>::dims;
#pragma unroll
	for (int c = 0; c < dims / 64; c++) sum_strip(sum + 4 * c, v.wide[c] + 4 * i, b);
	if constexpr (dims % 64 >= 32) sum_strip(sum + dims / 64 * 4, v.half + 4 * i, b);
	if constexpr (dims % 32) sum_strip(sum + dims / 32 * 2, v.rest + 4 * i, b);
}

// put_strip writes a warp's sums of a strip to its slot, in the order of dims;
// i is the row, 0 or 1 of the lane's two. Lanes take turns so that the 16-byte
// stores of eight of them meet no bank twice.
template <int N> DEVICE void put_strip(unsigned thread, float *slot, const float (*sum)[4], int i, float weight) {
	int g = thread % 32 / 4;
	if constexpr (N == 2) {
		*(float2 *)(slot + 2 * g) = make_float2(sum[0][i] * weight, sum[0][i + 2] * weight);
	} else {
		float4 x[N / 4];
#pragma unroll
		for (int j = 0; j < N / 4; j++)
			x[j] = make_float4(sum[2 * j][i] * weight, sum[2 * j][i + 2] * weight, sum[2 * j + 1][i] * weight, sum[2 * j + 1][i + 2] * weight);
		if constexpr (N == 4) *(float4 *)(slot + 4 * g) = x[0];
		if constexpr (N == 8) {
			bool odd = g % 2;
			*(float4 *)(slot + 8 * g + 4 * odd) = odd ? x[1] : x[0];
			*(float4 *)(slot + 8 * g + 4 - 4 * odd) = odd ? x[0] : x[1];
		}
	}
}

// head_of is the number of row `row`'s head among all heads of all queries.
template <bool MANY> DEVICE int64_t head_of(const Decode &a, int kv, int row) {
	if (!MANY) return kv * a.group + row;
	int query = row / a.group;
	return (int64_t)query * a.heads + kv * a.group + (row - query * a.group);
}

// A View is what rows see: one [from, to), all of a unit [lo, hi).
struct View {
	int from, to, lo, hi;
};

// see is the view of row `row` of a unit whose rows begin with `first`; `own` is
// the position of the first query. False says that a position is negative.
template <bool MANY> DEVICE bool see(unsigned thread, View &v, const Decode &a, int own, int first, int row, int rows) {
	int least = own, latest = own;
	if (MANY) {
		for (int i = thread % 32; i < a.n; i += 32) least = min(least, a.pos[i]), latest = max(latest, a.pos[i]);
		for (int i = 16; i > 0; i /= 2) {
			least = min(least, __shfl_xor_sync(full_warp, least, i));
			latest = max(latest, __shfl_xor_sync(full_warp, latest, i));
		}
		own = a.pos[min(first + row, a.n * a.group - 1) / a.group];
	}
	if (least < 0) {
		if (thread == 0) report(a.fault, FAULT_POSITION, least);
		return false;
	}
	Sight mine = sight_of(own, latest, a.rows, a.window);
	v = {mine.from, mine.to, mine.from, mine.to};
	if (MANY) {
		for (int i = 4; i < 32; i *= 2) {
			v.lo = min(v.lo, __shfl_xor_sync(full_warp, v.lo, i));
			v.hi = max(v.hi, __shfl_xor_sync(full_warp, v.hi, i));
		}
	}
	return true;
}

// splits_of is how many splits so many keys make, and how many keys one has: one,
// where a block has a warp for all of them at once. (More keys may make fewer: what
// one has is rounded up to 16.)
template <int DIM, int TYPE> DEVICE int splits_of(const Decode &a, int keys, int *each) {
	*each = Team<DIM, TYPE>::count * Team<DIM, TYPE>::keys;
	if (keys <= *each) return 1;
	*each = 1 << a.split_shift;
	if (keys <= a.splits << a.split_shift) return max(1, (keys + *each - 1) >> a.split_shift);
	*each = ((keys + a.splits - 1) / a.splits + 15) & ~15;
	return (keys + *each - 1) / *each;
}

// leave writes number d of a row's result.
template <bool MANY, int DIM> DEVICE void leave(const Decode &a, int kv, int row, int d, float y, uint32_t launch) {
	float *to = a.dst + head_of<MANY>(a, kv, row) * DIM + d;
	if (tagging) hand(to, y, tag_of(a.dst_tag, launch));
	else *to = y;
}

// decode_join sums the splits of a set in their order, by the block whose split
// came last, and writes dst.
template <int DIM, bool MANY>
DEVICE void decode_join(unsigned thread, const Decode &a, const float *partials, int kv, int set, int splits, int first, int rows, char *smem) {
	DecodeSums *sums = (DecodeSums *)(smem + decode_slots);
	float2 *weight = (float2 *)smem; // (splits, 8)
	int warp = thread / 32, lane = thread % 32, size = decode_partial<DIM>();
	__threadfence();
	__syncthreads();
	if (thread == 0) sums->last = atomicInc(a.counters + set, splits - 1) == splits - 1;
	__syncthreads();
	if (!sums->last) return;
	__threadfence();

	if (warp < rows) {
		float top = lowest, total = 0;
		for (int i = lane; i < splits; i += 32) {
			float2 w = make_float2(load_fresh(partials + i * size + warp), load_fresh(partials + i * size + 8 + warp));
			weight[i * 8 + warp] = w;
			top = fmaxf(top, w.x);
		}
		top = warp_max(top);
		for (int i = lane; i < splits; i += 32) {
			float2 *w = &weight[i * 8 + warp];
			w->x = ex2(w->x - top);
			total += w->x * w->y;
		}
		total = warp_sum(total);
		if (lane == 0) sums->factor[warp] = total > 0 ? __fdividef(1, total) : 0;
	}
	__syncthreads();
	for (int e = thread; e < rows * DIM; e += DECODE_THREADS) {
		int row = e / DIM;
		float out = 0;
#pragma unroll 4
		for (int i = 0; i < splits; i++) out += weight[i * 8 + row].x * load_fresh(partials + i * size + 16 + e);
		leave<MANY, DIM>(a, kv, first + row, e % DIM, out * sums->factor[row], 0);
	}
}

// A Stamped is a number with what says when it was left, read and written at once:
// of which attention since the beginning it is (modulo 2³², the first not 0).
struct Stamped {
	float number;
	uint32_t stamp;
};
DEVICE Stamped peek(const Stamped *p) {
	uint64_t word = look8(p);
	return {__uint_as_float((uint32_t)word), (uint32_t)(word >> 32)};
}
// arrived waits for the number that was looked at, perhaps too early.
DEVICE float arrived(Stamped seen, const Stamped *p, uint32_t stamp) {
	while (seen.stamp != stamp) spin(), seen = peek(p);
	return seen.number;
}
DEVICE void stamp_to(Stamped *p, float number, uint32_t stamp) { put8(p, (uint64_t)stamp << 32 | __float_as_uint(number)); }

// gather_weights leaves what the numbers of row `row` of each split are to be
// multiplied by. A warp does it.
DEVICE void gather_weights(float *weight, const Stamped *partials, int row, int splits, int size, uint32_t stamp) {
	const int lane = threadIdx.x % 32;
	float top = lowest, sum = 0;
#pragma unroll 1
	for (int i = lane; i < splits; i += 32) {
		const Stamped *at = partials + i * size + row;
		Stamped score = peek(at), total = peek(at + 8);
		weight[i] = arrived(score, at, stamp), weight[i + 8 * splits] = arrived(total, at + 8, stamp);
		top = fmaxf(top, weight[i]);
	}
	top = warp_max(top);
#pragma unroll 1
	for (int i = lane; i < splits; i += 32) {
		weight[i] = ex2(weight[i] - top);
		sum += weight[i] * weight[i + 8 * splits];
	}
	sum = warp_sum(sum);
	sum = sum > 0 ? __fdividef(1, sum) : 0;
#pragma unroll 1
	for (int i = lane; i < splits; i += 32) weight[i] *= sum;
}

// decode_gather is the share that a unit has of joining its set, which is behind
// decode_attention by the same block: as many numbers as there are for each split,
// of which all have left theirs or will. Threads share the splits of a number, of
// which each has one or two. (All that is short, because it is cold code.)
template <int DIM> DEVICE void decode_gather(const Decode &a, uint32_t launch, char *smem) {
	const DecodeSums *unit = (const DecodeSums *)(smem + decode_slots);
	const int split = unit->split, splits = unit->splits, rows = unit->rows, thread = threadIdx.x, size = decode_partial<DIM>();
	const int each = (rows * DIM + splits - 1) / splits + 7 & ~7, end = min(split * each + each, rows * DIM), low = split * each / DIM;
	const Stamped *partials = (const Stamped *)a.partials + unit->set * a.splits * size;
	float *weight = (float *)smem, *sums = (float *)(smem + decode_slots) - DECODE_THREADS; // weight: (2, 8, splits)
	const uint32_t stamp = launch * a.of + a.number;
	bool weighted = false;
	__syncthreads(); // the slots have been read
#pragma unroll 1
	for (int base = split * each; base < end; base += DECODE_THREADS) {
		const int width = min(end - base, DECODE_THREADS), sharing = min(DECODE_THREADS / width, splits), share = thread / width, e = base + thread - share * width;
		int i = share < sharing ? share : splits; // the thread's first
		const Stamped *at = partials + 16 + e + i * size;
		Stamped seen = {0, 0};
		if (i < splits) seen = peek(at); // on its way while there are no weights
		if (!weighted) {
			int row = low + thread / 32;
			if (row * DIM < end) gather_weights(weight + (row - low) * splits, partials, row, splits, size, stamp);
			__syncthreads();
			weighted = true;
		}
		const float *by = weight + (e / DIM - low) * splits;
		float sum = 0;
#pragma unroll 1
		while (i < splits) {
			sum += by[i] * arrived(seen, at, stamp);
			if ((i += sharing) < splits) seen = peek(at += sharing * size);
		}
		sums[thread] = sum;
		__syncthreads();
		if (thread < width) {
#pragma unroll 1
			for (int i = 1; i < sharing; i++) sum += sums[thread + i * width];
			leave<false, DIM>(a, unit->kv, unit->first + e / DIM, e % DIM, sum, launch);
		}
		__syncthreads();
	}
}

// decode_finish joins the sums of a block's teams, through as many slots as
// there is room for, and writes dst, or partials where there are more splits.
template <int DIM, int TYPE, bool MANY> DEVICE void decode_finish(unsigned thread, const Decode &a, const float (*sum)[4], int active, uint32_t launch, char *smem) {
	typedef Team<DIM, TYPE> T;
	const DecodeSums *sums = (const DecodeSums *)(smem + decode_slots);
	int lane = thread % 32, t = lane % 4, team = thread / 32 / T::warps, mate = thread / 32 % T::warps;
	int kv = sums->kv, set = sums->set, split = sums->split, splits = sums->splits, first = sums->first, rows = sums->rows;
	float2 own[(T::count + 3) / 4];
	float all = lowest, total = 0; // of row lane%8
#pragma unroll
	for (int i = 0; i < (T::count + 3) / 4; i++) {
		int from = lane / 8 + 4 * i;
		own[i] = sums->team[T::count < 4 ? from % T::count : from][lane % 8];
		if (T::count < 4 && from >= T::count) own[i].y = 0;
		all = fmaxf(all, own[i].x);
	}
	all = fmaxf(all, __shfl_xor_sync(full_warp, all, 8));
	all = fmaxf(all, __shfl_xor_sync(full_warp, all, 16));
#pragma unroll
	for (int i = 0; i < (T::count + 3) / 4; i++) total += own[i].y * ex2(own[i].x - all);
	total += __shfl_xor_sync(full_warp, total, 8);
	total += __shfl_xor_sync(full_warp, total, 16);
	float weight[2];
#pragma unroll
	for (int i = 0; i < 2; i++) weight[i] = ex2(sums->team[team][2 * t + i].x - __shfl_sync(full_warp, all, 2 * t + i));

	const int stride = DIM + 4, floats = decode_slots / 4, results = (8 * DIM + DECODE_THREADS - 1) / DECODE_THREADS;
	float *slots = (float *)smem, out[results] = {};
	int room = rows <= 4 ? min(T::count, floats / (4 * stride)) : min(T::count, floats / (8 * stride)); // a row has so many slots
	for (int base = 0; base < active; base += room) {
		if (base > 0) __syncthreads();
		if (team >= base && team < min(base + room, active)) {
#pragma unroll
			for (int i = 0; i < 2; i++) {
				if (2 * t + i >= rows) continue;
				float *slot = slots + ((2 * t + i) * room + team - base) * stride + mate * T::dims;
#pragma unroll
				for (int c = 0; c < T::dims / 64; c++) put_strip<8>(thread, slot + 64 * c, sum + 4 * c, i, weight[i]);
				if constexpr (T::dims % 64 >= 32) put_strip<4>(thread, slot + T::dims / 64 * 64, sum + T::dims / 64 * 4, i, weight[i]);
				if constexpr (T::dims % 32) put_strip<2>(thread, slot + T::dims / 32 * 32, sum + T::dims / 32 * 2, i, weight[i]);
			}
		}
		__syncthreads();
		int n = min(room, active - base);
#pragma unroll
		for (int j = 0; j < results; j++) {
			unsigned e = thread + j * DECODE_THREADS;
			if (e >= rows * DIM) break;
			const float *slot = slots + e / DIM * room * stride + e % DIM;
#pragma unroll
			for (int i = 0; i < T::count; i++)
				if (i < n) out[j] += slot[i * stride];
		}
	}

	const int64_t partial = (int64_t)(set * a.splits + split) * decode_partial<DIM>();
	if constexpr (tagging) {
		if (splits > 1) {
			Stamped *to = (Stamped *)a.partials + partial;
			const uint32_t stamp = launch * a.of + a.number;
			if (thread < 8) stamp_to(to + thread, all, stamp), stamp_to(to + 8 + thread, total, stamp);
#pragma unroll
			for (int j = 0; j < results; j++) {
				int e = thread + j * DECODE_THREADS;
				if (e < rows * DIM) stamp_to(to + 16 + e, out[j], stamp);
			}
			return;
		}
	}
	float *to = (float *)a.partials + partial;
	float inverse = total > 0 ? __fdividef(1, total) : 0; // nothing was seen: zeros
#pragma unroll
	for (int j = 0; j < results; j++) {
		unsigned e = thread + j * DECODE_THREADS, row = min(e / DIM, 7u);
		float by = __shfl_sync(full_warp, inverse, row);
		if (e >= rows * DIM) continue;
		if (!tagging && splits > 1) to[16 + e] = out[j];
		else leave<MANY, DIM>(a, kv, first + row, e - row * DIM, out[j] * by, launch);
	}
	if (tagging || splits == 1) return;
	if (thread < 8) to[thread] = all, to[8 + thread] = total;
	decode_join<DIM, MANY>(thread, a, to - (int64_t)split * decode_partial<DIM>(), kv, set, splits, first, rows, smem);
}

// read_job and do_job are what warps do before they score, a head each: of the
// rows, and with k_new of the new key and value.
template <int DIM, bool MANY> DEVICE const float *head_at(const Decode &a, int job, int first, int rows, int kv) {
	return job == rows ? a.k_new + kv * DIM : job > rows ? a.v_new + kv * DIM : a.q + head_of<MANY>(a, kv, first + job) * DIM;
}
template <int DIM, bool MANY> DEVICE void read_job(unsigned thread, Head<DIM> &h, const Decode &a, int job, int first, int rows, int kv) {
	read_head(thread, h, a, head_at<DIM, MANY>(a, job, first, rows, kv), job < rows ? a.q_norm : job == rows ? a.k_norm : nullptr);
}

template <int DIM, int TYPE> DEVICE void do_job(unsigned thread, Head<DIM> &h, const Decode &a, int job, int first, int rows, const Span &s, int fresh, char *smem) {
	if (job <= rows) norm_and_turn(thread, h, a, job < rows ? a.q_norm : a.k_norm);
	DecodeShared<DIM, TYPE> *shared = (DecodeShared<DIM, TYPE> *)smem;
	if (job < rows) {
		put_query(thread, h, a, job, shared, (DecodeSums *)(smem + decode_slots));
	} else { // all passes have it, the first one keeps it
		put_new(thread, h, a, job - rows, shared, job == rows ? a.k : a.v, (int64_t)row_of(s, fresh) * s.cols + s.first, (int64_t)s.rows * s.cols, first == 0);
	}
}

// decode_attention computes unit `unit` of sets·splits: a block does it alone,
// and units of one Decode may run at the same time and in any order. DIM is 64,
// 80, 96, 112, 128 or 256, TYPE CACHE_F16 or CACHE_Q8_0 (DIM a multiple of 32);
// MANY allows n > 1; CROWD is one query of a Crowd, whose sequence has positions
// up to `latest`. Where numbers are tagged, `known` is the position of the query. smem is
// decode_shared bytes, 16-byte aligned; a block calls __syncthreads before the next
// use of it. It returns whether decode_gather has to follow.
template <int DIM, int TYPE, bool MANY = false, bool CROWD = false>
DEVICE bool decode_attention(const Decode &a, int unit, char *smem, int latest = 0, int64_t total_numbers = 0, int known = -1, uint32_t launch = 0) {
	unsigned thread = thread_index(); // so that a kernel that calls this in a loop keeps no lane's numbers over the loop
	typedef Team<DIM, TYPE> T;
	const bool early = T::warps > 1 || DIM <= 80; // there are registers for values beside all else
	static_assert(sizeof(DecodeShared<DIM, TYPE>) <= decode_slots && decode_slots + sizeof(DecodeSums) <= decode_shared, "shared memory");
	DecodeShared<DIM, TYPE> *shared = (DecodeShared<DIM, TYPE> *)smem;
	DecodeSums *sums = (DecodeSums *)(smem + decode_slots);
	int warp = thread / 32, lane = thread % 32, t = lane % 4, g = lane / 4;
	int team = warp / T::warps, mate = warp % T::warps;
	int octet = mate / T::halves, part = mate % T::halves * T::width; // what a mate scores: 8 keys, numbers of a head

	int split = (uint64_t)(uint32_t)unit * a.sets_inverse >> 31, set = unit - split * a.sets, kv = set, pass = 0;
	if (a.passes > 1) kv = set / a.passes, pass = set - kv * a.passes;
	int first = pass * 8, rows = min(8, a.n * a.group - first), each;
	View view;
	const int own = tagging ? known : a.pos[0]; // position of the first query
	if constexpr (CROWD) {
		Sight sight = sight_of(own, latest, a.rows, a.window);
		view = {sight.from, sight.to, sight.from, sight.to};
	} else if (!see<MANY>(thread, view, a, own, first, g, rows)) {
		if (tagging && split == 0) { // others wait for it; and it comes when its input was there, as ever
			for (int e = thread; e < (rows + 2) * DIM; e += DECODE_THREADS)
				receive(head_at<DIM, MANY>(a, e / DIM, first, rows, kv) + e % DIM, tag_of(e / DIM < rows ? a.q_tag : e / DIM == rows ? a.k_tag : a.v_tag, launch));
			__syncthreads();
			for (int e = thread; e < rows * DIM; e += DECODE_THREADS) leave<MANY, DIM>(a, kv, first + e / DIM, e % DIM, 0, launch);
		}
		return false;
	}
	int splits = splits_of<DIM, TYPE>(a, view.hi - view.lo, &each);
	if (split >= splits) return false;
	int begin = view.lo + split * each, end = min(begin + each, view.hi), tiles = (end - begin + T::keys - 1) / T::keys;
	int fresh = !CROWD && a.k_new && end == view.hi ? end - 1 : -1; // the position of the new key, if it is in the split
	Span span = {a.kv_heads * DIM, kv * DIM, a.rows, view.hi <= a.rows ? 0 : view.lo / a.rows * a.rows, max(fresh >= 0 ? end - 2 : end - 1, view.lo), total_numbers};

	if (thread == 0) sums->kv = kv, sums->set = set, sums->split = split, sums->splits = splits, sums->first = first, sums->rows = rows;

	Keys<DIM, TYPE> k = {}; // never undefined: step.cuh says why
	Values<DIM, TYPE> v = {};
	int position = begin + team * T::keys; // of the tile
	{
		Head<DIM> head = {};
		int job = decode_warps - 1 - warp, jobs = fresh >= 0 ? rows + 2 : rows; // the last warps have no keys when there are few
		if (job < jobs) read_job<DIM, MANY>(thread, head, a, job, first, rows, kv);     // all first loads before the first wait
		if (position < end) {
			fetch_keys<DIM, TYPE, CROWD>(thread, k, a.k, span, position + octet * 8 + g, part);
			if (early) fetch_values<DIM, TYPE, CROWD>(thread, v, a.v, span, position, mate * T::dims);
		}
		for (; job < jobs; job += decode_warps) {
			if (job >= decode_warps) read_job<DIM, MANY>(thread, head, a, job, first, rows, kv);
			if (job <= rows) turn_to(head, MANY ? a.pos[(first + min(job, rows - 1)) / a.group] : own);
			if (tagging) await_head(thread, head, a, head_at<DIM, MANY>(a, job, first, rows, kv), tag_of(job < rows ? a.q_tag : job == rows ? a.k_tag : a.v_tag, launch));
			do_job<DIM, TYPE>(thread, head, a, job, first, rows, span, fresh, smem);
		}
		if (position < end && !early) fetch_values<DIM, TYPE, CROWD>(thread, v, a.v, span, position, mate * T::dims);
		__syncthreads();
	}
	float sum[T::dims / 16][4] = {}, top = lowest, total = 0; // sums of rows 2t, 2t+1; the rest of row g
	for (int i = 0; i == 0 || i * T::count < tiles; i++, position += T::count * T::keys) {
		const int next = position + T::count * T::keys; // of which keys are on their way while values are used, and values while keys are
		bool busy = position < end;
		if (busy && i > 0 && !early) fetch_values<DIM, TYPE, CROWD>(thread, v, a.v, span, position, mate * T::dims);
		float2 own[T::scored], s[T::keys / 8];
		float factor = sums->factor[g];
		if (busy) {
			if (fresh >= position && fresh < position + T::keys) {
				patch_keys(thread, k, part, fresh - position - octet * 8, shared->fresh[0]);
				patch_values(thread, v, mate * T::dims, fresh - position, shared->fresh[1]);
			}
			score<DIM, TYPE>(thread, own, k, part, shared);
			if (next < end) fetch_keys<DIM, TYPE, CROWD>(thread, k, a.k, span, next + octet * 8 + g, part);
		}
		auto *all = shared->score[i % 2]; // what all mates have scored
		if constexpr (T::warps > 1) {
			if (busy) all[warp][lane] = own[0];
			sync_some(1 + team, 32 * T::warps);
		}
		if (!busy) continue;
#pragma unroll
		for (int j = 0; j < T::keys / 8; j++) {
			s[j] = make_float2(0, 0);
			if constexpr (T::warps == 1) s[j] = own[j];
#pragma unroll
			for (int h = 0; h < T::halves; h++) {
				if constexpr (T::warps > 1) s[j].x += all[team * T::warps + j * T::halves + h][lane].x, s[j].y += all[team * T::warps + j * T::halves + h][lane].y;
			}
			s[j].x *= factor, s[j].y *= factor;
		}
		if (a.softcap != 0) {
#pragma unroll
			for (int j = 0; j < T::keys / 8; j++) s[j].x = capped(s[j].x, a.softcap), s[j].y = capped(s[j].y, a.softcap);
		}
		float best = top;
#pragma unroll
		for (int j = 0; j < T::keys / 8; j++) {
			int at = position + 8 * j + 2 * t;
			if (at >= (MANY ? min(view.to, end) : end) || MANY && at < view.from) s[j].x = negative_infinity();
			if (at + 1 >= (MANY ? min(view.to, end) : end) || MANY && at + 1 < view.from) s[j].y = negative_infinity();
			best = fmaxf(best, fmaxf(s[j].x, s[j].y));
		}
		best = fmaxf(best, __shfl_xor_sync(full_warp, best, 1));
		best = fmaxf(best, __shfl_xor_sync(full_warp, best, 2));
		if (i > 0 && __any_sync(full_warp, best != top)) {
			float less = ex2(top - best);
			float less0 = __shfl_sync(full_warp, less, 8 * t), less1 = __shfl_sync(full_warp, less, 8 * t + 4);
			total *= less;
#pragma unroll
			for (int j = 0; j < T::dims / 16; j++) sum[j][0] *= less0, sum[j][1] *= less1, sum[j][2] *= less0, sum[j][3] *= less1;
		}
		top = best;
#pragma unroll
		for (int j = 0; j < T::keys / 16; j++) {
			uint32_t b[2];
#pragma unroll
			for (int h = 0; h < 2; h++) { // total is of the weights as rounded
				b[h] = pack_h2(ex2(s[2 * j + h].x - best), ex2(s[2 * j + h].y - best));
				total += h2f(b[h]) + h2f(b[h] >> 16);
			}
			add_values<DIM, TYPE>(sum, v, j, b);
		}
		if (early && next < end) fetch_values<DIM, TYPE, CROWD>(thread, v, a.v, span, next, mate * T::dims);
	}
	total += __shfl_xor_sync(full_warp, total, 1);
	total += __shfl_xor_sync(full_warp, total, 2);
	if (t == 0 && mate == 0) sums->team[team][g] = make_float2(top, total);
	__syncthreads();
	decode_finish<DIM, TYPE, MANY>(thread, a, sum, min(T::count, tiles), launch, smem);
	return tagging && splits > 1;
}

// decode_crowd computes unit `block` of n·units. What a query gets depends on
// nothing but it and its sequence.
template <int DIM, int TYPE> DEVICE void decode_crowd(const Crowd &c, int block, char *smem) {
	int query = block / c.units, unit = block - query * c.units, cols = c.one.kv_heads * DIM;
	Decode a = c.one;
	Sequence s = sequence_of(c.seq, query, c.seqs, a.rows, cols, a.fault);
	a.pos += query, a.q += (int64_t)query * a.heads * DIM, a.dst += (int64_t)query * a.heads * DIM;
	int own = a.pos[0], latest = own;
	if (own < 0 && threadIdx.x == 0) report(a.fault, FAULT_POSITION, own);
	if (s.number < 0 || own < 0) { // zeros
		for (int i = threadIdx.x; unit == 0 && i < a.heads * DIM; i += DECODE_THREADS) a.dst[i] = 0;
		return;
	}
	for (int i = threadIdx.x % 32; i < c.n; i += 32)
		if (!c.seq || c.seq[i] == s.number) latest = max(latest, c.one.pos[i]);
	for (int i = 16; i > 0; i /= 2) latest = max(latest, __shfl_xor_sync(full_warp, latest, i));
	a.k = cache_at<TYPE>(a.k, s.base * cols), a.v = cache_at<TYPE>(a.v, s.base * cols);
	a.counters += query * a.sets, a.partials += (int64_t)query * c.units * decode_partial<DIM>() * 4;
	decode_attention<DIM, TYPE, false, true>(a, unit, smem, latest, scales_of(s, cols));
}

} // namespace attention

using attention::Crowd;
using attention::Decode;
using attention::decode_attention;
using attention::decode_crowd;
using attention::decode_gather;
