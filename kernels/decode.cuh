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
// and calls them the dims that the fragment wants. Heads of more than 128
// numbers take two warps for 16 keys: each scores 8 and sums half of the dims.
//
// Splits leave their largest scores, sums and values in `partials`; the last
// to arrive joins them in order, so that the result is the same every time.
#pragma once
#include "cache.cuh"
#include "fault.cuh"

#ifndef DECODE_THREADS
#define DECODE_THREADS 512
#endif

// Decode is one attention of n queries. With k_new, of one query, it is also
// what comes before: the norm and the turning of q and k, and the store of k
// and v. The norm and the turning of q are there with and without k_new.
struct Decode {
	const float *q;       // (n, heads, dim)
	const float *k_new;   // (kv_heads, dim), or null: the caches hold all keys
	const float *v_new;   // (kv_heads, dim)
	const float *q_norm;  // (dim), or null: no RMSNorm
	const float *k_norm;  // (dim)
	const float2 *turns;  // (rope/2): frequency in turns, and what f32 left of it
	char *k, *v;          // caches (rows, kv_heads·dim)
	const int32_t *pos;   // (n)
	float *dst;           // (n, heads, dim)
	float *partials;      // decode_partial numbers for each unit; unused if splits is 1
	uint32_t *counters;   // (sets), 0; left 0
	uint64_t fault;
	int32_t n, heads, kv_heads, group; // group = heads/kv_heads
	int32_t passes;       // ceil(n·group / 8)
	int32_t sets;         // kv_heads·passes; a unit is split·sets + set
	int32_t splits;       // of the context at most
	int32_t split_shift;  // a split has 1<<split_shift keys or more
	int32_t rows, window; // window: keys that a query sees, 0 is all
	int32_t rope, neox;   // numbers of a head that are turned; pairs (i, i+rope/2) or (2i, 2i+1)
	float scale, softcap, eps, mscale;
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
	float2 score[2][DIM > 128 ? decode_warps : 1][32];
};
struct DecodeSums { // after the slots
	float2 group[decode_warps][8]; // largest score and sum of each row
	float factor[8];               // of the scores of a row
	float sum[8];
	int last;
};

// turned is the angle that position pos has turned, in turns from -1 to 1: the
// whole turns of pos·hi leave without an error.
DEVICE float turned(int pos, float2 turn) {
	float p = (float)pos, h = p * turn.x;
	return (h - rintf(h)) + fmaf(p, turn.x, -h) + p * turn.y;
}

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

template <int DIM> DEVICE void read_head(Head<DIM> &h, const Decode &a, const float *x, const float *norm) {
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		int pair = threadIdx.x % 32 + 32 * i;
		h.x[i][0] = h.x[i][1] = 0, h.w[i][0] = h.w[i][1] = 1, h.turn[i] = make_float2(0, 0);
		if (pair >= DIM / 2) continue;
		int2 at = pair_at(a, pair);
		h.x[i][0] = load_fresh(x + at.x), h.x[i][1] = load_fresh(x + at.y);
		if (norm) h.w[i][0] = __uint_as_float(load4(norm + at.x)), h.w[i][1] = __uint_as_float(load4(norm + at.y));
		if (pair < a.rope / 2) {
			uint2 turn = load8(a.turns + pair);
			h.turn[i] = make_float2(__uint_as_float(turn.x), __uint_as_float(turn.y));
		}
	}
}

// norm_and_turn: RMSNorm, where there is one, and RoPE of a head at pos.
template <int DIM> DEVICE void norm_and_turn(Head<DIM> &h, const Decode &a, bool norm, int pos) {
	if (norm) {
		float square = 0;
		for (auto &x : h.x) square += x[0] * x[0] + x[1] * x[1];
		float r = rsqrtf(warp_sum(square) / DIM + a.eps);
#pragma unroll
		for (int i = 0; i < (DIM + 63) / 64; i++) h.x[i][0] *= r * h.w[i][0], h.x[i][1] *= r * h.w[i][1];
	}
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		if ((int)threadIdx.x % 32 + 32 * i >= a.rope / 2) continue;
		float sin, cos, x = h.x[i][0], y = h.x[i][1];
		sincospif(2 * turned(pos, h.turn[i]), &sin, &cos);
		h.x[i][0] = (x * cos - y * sin) * a.mscale, h.x[i][1] = (x * sin + y * cos) * a.mscale;
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
template <int DIM, int TYPE> DEVICE void put_query(const Head<DIM> &h, const Decode &a, int row, DecodeShared<DIM, TYPE> *s, DecodeSums *sums) {
	float top = 0;
	for (auto &x : h.x) top = fmaxf(top, fmaxf(fabsf(x[0]), fabsf(x[1])));
	int exponent = min(max((int)(__float_as_uint(warp_max(top)) >> 23), 1), 253);
	float up = __uint_as_float((254 - exponent) << 23), down = __uint_as_float(exponent << 23);
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		int pair = threadIdx.x % 32 + 32 * i;
		if (pair >= DIM / 2) continue;
		int2 at = pair_at(a, pair);
		for (int j = 0; j < 2; j++) {
			float x = h.x[i][j] * up;
			uint16_t high = f2h(x);
			int c = column<DIM>(j ? at.y : at.x);
			s->q[row][c] = high;
			s->q[row + 8][c] = f2h(x - h2f(high));
		}
	}
	if (threadIdx.x % 32 == 0) sums->factor[row] = down * a.scale;
}

// put_new writes a new key (which 0) or value (1) as the cache holds it to
// shared memory, and to number `to` on of the cache if `keep`.
template <int DIM, int TYPE>
DEVICE void put_new(const Head<DIM> &h, const Decode &a, int which, DecodeShared<DIM, TYPE> *s, char *cache, int64_t to, int64_t total, bool keep) {
	int lane = threadIdx.x % 32;
	char *fresh = s->fresh[which];
#pragma unroll
	for (int i = 0; i < (DIM + 63) / 64; i++) {
		int pair = lane + 32 * i;
		if (pair >= DIM / 2) continue;
		int2 at = pair_at(a, pair);
		for (int j = 0; j < 2; j++) {
			int d = j ? at.y : at.x;
			if constexpr (TYPE == CACHE_Q8_0) {
				s->plain[which][d] = h.x[i][j];
			} else {
				uint16_t x = f2h(h.x[i][j]);
				((uint16_t *)fresh)[d] = x;
				if (keep) *(uint16_t *)cache_at<TYPE>(cache, to + d) = x;
			}
		}
	}
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

// A Strip is N·lanes neighbouring numbers of each of KEYS rows of a cache: a
// lane has N of them from number `at` on.
template <int TYPE, int N, int KEYS> DEVICE void fetch_strip(Piece<TYPE, N> (&p)[KEYS], const int (&key)[KEYS], int limit, int turn, int rows, char *cache, int64_t cols, int at) {
#pragma unroll
	for (int i = 0; i < KEYS; i++) {
		clear(p[i]);
		if (key[i] >= limit) continue;
		int row = key[i] - turn;
		int64_t number = (row >= rows ? row - rows : row) * cols + at;
		fetch(p[i], cache_at<TYPE>(cache, number), cache_scale(cache, number, rows * cols));
	}
}

// patch_strip puts the new key or value in the place of its row.
template <int DIM, int TYPE, int N, int KEYS> DEVICE void patch_strip(Piece<TYPE, N> (&p)[KEYS], const int (&key)[KEYS], int fresh, const char *numbers, int at) {
#pragma unroll
	for (int i = 0; i < KEYS; i++)
		if (key[i] == fresh) fetch_shared(p[i], numbers + at * (TYPE == CACHE_Q8_0 ? 1 : 2), numbers + DIM + at / 32 * 2);
}

// Keys holds what a lane has of the keys that its warp scores, Values of those
// that it sums: strips of 8 numbers a lane, and what is left of the head.
template <int DIM, int TYPE> struct Keys {
	static const int count = DIM > 128 ? 1 : 2; // times 8
	Piece<TYPE, 8> wide[DIM / 32][count];
	Piece<TYPE, 4> rest[count];
	int key[count];
};
template <int DIM, int TYPE> struct Values {
	static const int dims = DIM > 128 ? DIM / 2 : DIM;
	Piece<TYPE, 8> wide[dims / 64][4];
	Piece<TYPE, 4> half[4];
	Piece<TYPE, TYPE == CACHE_Q8_0 ? 4 : 2> rest[4]; // f16 alone
	int key[4];
};

// A View is the part of a cache that a unit reads: numbers `first` on of the
// rows, positions below limit; position p is at row p-turn, or p-turn-rows.
struct View {
	char *cache;
	int64_t cols;
	int first, rows, turn, limit;
};

template <int DIM, int TYPE> DEVICE void fetch_keys(Keys<DIM, TYPE> &k, const View &v, int key) {
	int t = threadIdx.x % 4, first = key + threadIdx.x % 32 / 4;
#pragma unroll
	for (int i = 0; i < Keys<DIM, TYPE>::count; i++) k.key[i] = first + 8 * i;
#pragma unroll
	for (int c = 0; c < DIM / 32; c++) fetch_strip(k.wide[c], k.key, v.limit, v.turn, v.rows, v.cache, v.cols, v.first + 32 * c + 8 * t);
	if constexpr (DIM % 32) fetch_strip(k.rest, k.key, v.limit, v.turn, v.rows, v.cache, v.cols, v.first + DIM / 32 * 32 + 4 * t);
}

template <int DIM, int TYPE> DEVICE void patch_keys(Keys<DIM, TYPE> &k, int fresh, const char *numbers) {
	int t = threadIdx.x % 4;
#pragma unroll
	for (int c = 0; c < DIM / 32; c++) patch_strip<DIM>(k.wide[c], k.key, fresh, numbers, 32 * c + 8 * t);
	if constexpr (DIM % 32) patch_strip<DIM>(k.rest, k.key, fresh, numbers, DIM / 32 * 32 + 4 * t);
}

template <int DIM, int TYPE> DEVICE void fetch_values(Values<DIM, TYPE> &x, const View &v, int key, int dim) {
	const int dims = Values<DIM, TYPE>::dims;
	int t = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
#pragma unroll
	for (int i = 0; i < 4; i++) x.key[i] = key + 2 * t + i % 2 + i / 2 * 8;
#pragma unroll
	for (int c = 0; c < dims / 64; c++) fetch_strip(x.wide[c], x.key, v.limit, v.turn, v.rows, v.cache, v.cols, v.first + dim + 64 * c + 8 * g);
	if constexpr (dims % 64 >= 32) fetch_strip(x.half, x.key, v.limit, v.turn, v.rows, v.cache, v.cols, v.first + dim + dims / 64 * 64 + 4 * g);
	if constexpr (dims % 32) fetch_strip(x.rest, x.key, v.limit, v.turn, v.rows, v.cache, v.cols, v.first + dim + dims / 32 * 32 + 2 * g);
}

template <int DIM, int TYPE> DEVICE void patch_values(Values<DIM, TYPE> &x, int dim, int fresh, const char *numbers) {
	const int dims = Values<DIM, TYPE>::dims;
	int g = threadIdx.x % 32 / 4;
#pragma unroll
	for (int c = 0; c < dims / 64; c++) patch_strip<DIM>(x.wide[c], x.key, fresh, numbers, dim + 64 * c + 8 * g);
	if constexpr (dims % 64 >= 32) patch_strip<DIM>(x.half, x.key, fresh, numbers, dim + dims / 64 * 64 + 4 * g);
	if constexpr (dims % 32) patch_strip<DIM>(x.rest, x.key, fresh, numbers, dim + dims / 32 * 32 + 2 * g);
}

// score: lane i gets those of row i/4 with keys 2(i%4), 2(i%4)+1 of each 8.
template <int DIM, int TYPE> DEVICE void score(float (&s)[Keys<DIM, TYPE>::count][2], const Keys<DIM, TYPE> &k, const DecodeShared<DIM, TYPE> *shared) {
	const int count = Keys<DIM, TYPE>::count;
	int lane = threadIdx.x % 32;
	const uint16_t *q = &shared->q[lane % 16][lane / 16 * 8];
	float c[count][4] = {};
	uint32_t a[4];
#pragma unroll
	for (int i = 0; i < DIM / 32; i++) {
#pragma unroll
		for (int step = 0; step < 2; step++) {
			ldmatrix4(a, q + 32 * i + 16 * step);
#pragma unroll
			for (int j = 0; j < count; j++) {
				uint32_t b[2] = {word(k.wide[i][j], 2 * step), word(k.wide[i][j], 2 * step + 1)};
				mma_f16(c[j], a, b);
			}
		}
	}
	if constexpr (DIM % 32) {
		ldmatrix4(a, q + DIM / 32 * 32);
#pragma unroll
		for (int j = 0; j < count; j++) {
			uint32_t b[2] = {word(k.rest[j], 0), word(k.rest[j], 1)};
			mma_f16(c[j], a, b);
		}
	}
#pragma unroll
	for (int j = 0; j < count; j++) s[j][0] = c[j][0] + c[j][2], s[j][1] = c[j][1] + c[j][3];
}

// sum_strip adds the values of a strip, weighted by b, to 16·N/2 dims.
template <int TYPE, int N> DEVICE void sum_strip(float (*sum)[4], const Piece<TYPE, N> (&v)[4], const uint32_t b[2]) {
#pragma unroll
	for (int j = 0; j < N / 2; j++) {
		uint32_t x[4] = {word(v[0], j), word(v[1], j), word(v[2], j), word(v[3], j)};
		uint32_t a[4] = {__byte_perm(x[0], x[1], 0x5410), __byte_perm(x[0], x[1], 0x7632),
			__byte_perm(x[2], x[3], 0x5410), __byte_perm(x[2], x[3], 0x7632)};
		mma_f16(sum[j], a, b);
	}
}

template <int DIM, int TYPE> DEVICE void add_values(float (*sum)[4], const Values<DIM, TYPE> &v, const uint32_t b[2]) {
	const int dims = Values<DIM, TYPE>::dims;
#pragma unroll
	for (int c = 0; c < dims / 64; c++) sum_strip(sum + 4 * c, v.wide[c], b);
	if constexpr (dims % 64 >= 32) sum_strip(sum + dims / 64 * 4, v.half, b);
	if constexpr (dims % 32) sum_strip(sum + dims / 32 * 2, v.rest, b);
}

// put_strip writes a warp's sums of a strip to its slot, in the order of dims;
// i is the row, 0 or 1 of the lane's two. Lanes take turns so that the 16-byte
// stores of eight of them meet no bank twice.
template <int N> DEVICE void put_strip(float *slot, const float (*sum)[4], int i, float weight) {
	int g = threadIdx.x % 32 / 4;
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

// capped is a score in powers of two, from one in powers of e.
DEVICE float capped(float s, float softcap) {
	const float log2e = 1.44269504f;
	if (softcap != 0) s = softcap - 2 * softcap / (exp2f(s / softcap * (2 * log2e)) + 1); // softcap·tanh(s/softcap)
	return s * log2e;
}

// power is 2^(x-top), 0 where nothing was seen.
DEVICE float power(float x, float top) { return top == negative_infinity() ? 0 : exp2f(x - top); }

// decode_join sums the splits of a set in their order, by the block whose split
// came last, and writes dst.
template <int DIM> DEVICE void decode_join(const Decode &a, const float *partials, int set, int splits, int rows, char *smem);

// decode_rows finds what rows of a unit see. Row `row` sees [from, to) of the
// positions, all rows together [lo, hi). False says that a position is negative.
DEVICE bool decode_rows(const Decode &a, int first, int row, int rows, int &from, int &to, int &lo, int &hi) {
	int least = a.pos[0], latest = least, own = least;
	if (a.n > 1) {
		for (int i = threadIdx.x % 32; i < a.n; i += 32) least = min(least, a.pos[i]), latest = max(latest, a.pos[i]);
		for (int i = 16; i > 0; i /= 2) {
			least = min(least, __shfl_xor_sync(full_warp, least, i));
			latest = max(latest, __shfl_xor_sync(full_warp, latest, i));
		}
		own = a.pos[min(first + row, a.n * a.group - 1) / a.group];
	}
	if (least < 0) {
		if (threadIdx.x == 0) report(a.fault, FAULT_POSITION, least);
		return false;
	}
	from = max(0, latest - a.rows + 1); // what came before is overwritten
	if (a.window > 0) from = max(from, own - a.window + 1);
	to = max(own + 1, from);
	lo = from, hi = to;
	if (a.n > 1) {
		for (int i = 4; i < 32; i *= 2) {
			lo = min(lo, __shfl_xor_sync(full_warp, lo, i));
			hi = max(hi, __shfl_xor_sync(full_warp, hi, i));
		}
	}
	if (row >= rows) from = to = 0;
	return true;
}

// decode_splits is how many splits [lo, hi) has and how many keys each.
DEVICE int decode_splits(const Decode &a, int keys, int *each) {
	*each = 1 << a.split_shift;
	if (keys <= a.splits << a.split_shift) return max(1, (keys + *each - 1) >> a.split_shift);
	*each = ((keys + a.splits - 1) / a.splits + 15) & ~15;
	return (keys + *each - 1) / *each;
}

// decode_attention computes unit `unit` of sets·splits: a block does it alone,
// and units of one Decode may run at the same time and in any order. DIM is 64,
// 80, 96, 112, 128 or 256, TYPE CACHE_F16 or CACHE_Q8_0 (DIM a multiple of 32).
// smem is decode_shared bytes, 16-byte aligned; a block calls __syncthreads
// before the next use of it.
template <int DIM, int TYPE> DEVICE void decode_attention(const Decode &a, int unit, char *smem) {
	const int count = Keys<DIM, TYPE>::count, dims = Values<DIM, TYPE>::dims, groups = decode_warps * count / 2;
	static_assert(sizeof(DecodeShared<DIM, TYPE>) <= decode_slots && decode_slots + sizeof(DecodeSums) <= decode_shared, "shared memory");
	DecodeShared<DIM, TYPE> *shared = (DecodeShared<DIM, TYPE> *)smem;
	DecodeSums *sums = (DecodeSums *)(smem + decode_slots);
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, t = lane % 4, g = lane / 4;
	int group = count == 2 ? warp : warp / 2, side = count == 2 ? 0 : warp % 2; // side: half of a wide head

	int split = unit / a.sets, set = unit - split * a.sets, kv = set, pass = 0;
	if (a.passes > 1) kv = set / a.passes, pass = set - kv * a.passes;
	int first = pass * 8, rows = min(8, a.n * a.group - first);
	int from, to, lo, hi, each;
	if (!decode_rows(a, first, g, rows, from, to, lo, hi)) return;
	int splits = decode_splits(a, hi - lo, &each);
	if (split >= splits) return;
	int begin = lo + split * each, end = min(begin + each, hi), tiles = (end - begin + 15) / 16;
	bool last = a.k_new && end == hi; // the unit has the new key
	int fresh = last ? hi - 1 : -1;
	View keys = {a.k, (int64_t)a.kv_heads * DIM, kv * DIM, a.rows, hi <= a.rows ? 0 : lo / a.rows * a.rows, last ? hi - 1 : end};
	View values = keys;
	values.cache = a.v;

	// All first loads before the first wait: heads, then keys and values.
	int jobs = last ? rows + 2 : rows;
	Head<DIM> head;
	Keys<DIM, TYPE> k;
	Values<DIM, TYPE> v;
	const int turns = (10 + decode_warps - 1) / decode_warps;
#pragma unroll
	for (int i = 0; i < turns; i++) {
		int job = warp + i * decode_warps, r = first + job;
		const float *x = job == rows ? a.k_new + kv * DIM : job > rows ? a.v_new + kv * DIM
			: a.q + (a.n == 1 ? kv * a.group + r : r / a.group * a.heads + kv * a.group + r % a.group) * (int64_t)DIM;
		const float *norm = job == rows ? a.k_norm : job > rows ? nullptr : a.q_norm;
		if (job < jobs) read_head(head, a, x, norm);
		if (i == 0) {
			fetch_keys(k, keys, begin + group * 16 + side * 8);
			fetch_values(v, values, begin + group * 16, side * dims);
		}
		if (job >= jobs) continue;
		int pos = a.n == 1 ? hi - 1 : a.pos[min(r, a.n * a.group - 1) / a.group];
		if (job <= rows) norm_and_turn(head, a, norm != nullptr, pos);
		if (job < rows) {
			put_query(head, a, job, shared, sums);
		} else {
			int row = fresh - keys.turn;
			int64_t number = (row >= a.rows ? row - a.rows : row) * keys.cols + keys.first;
			put_new(head, a, job - rows, shared, job == rows ? a.k : a.v, number, a.rows * keys.cols, pass == 0);
		}
	}
	__syncthreads();

	float factor = g < rows ? sums->factor[g] : 0, softcap = a.softcap;
	float sum[dims / 16][4] = {}, top = negative_infinity(), total = 0; // of rows 2t, 2t+1; of row g
	for (int i = 0; i * groups < tiles; i++) {
		int tile = i * groups + group, key = begin + tile * 16;
		if (count == 2 && tile >= tiles) break;
		if (i > 0) {
			fetch_keys(k, keys, key + side * 8);
			fetch_values(v, values, key, side * dims);
		}
		if (last && tile == tiles - 1) {
			patch_keys(k, fresh, shared->fresh[0]);
			patch_values(v, side * dims, fresh, shared->fresh[1]);
		}
		float own[count][2], s[2][2];
		score<DIM, TYPE>(own, k, shared);
		if constexpr (count == 2) {
			for (int j = 0; j < 2; j++) s[j][0] = own[j][0], s[j][1] = own[j][1];
		} else { // the other warp has the other 8 keys
			float2(*all)[32] = shared->score[i % 2];
			all[warp][lane] = make_float2(own[0][0], own[0][1]);
			__syncthreads();
			for (int j = 0; j < 2; j++) s[j][0] = all[group * 2 + j][lane].x, s[j][1] = all[group * 2 + j][lane].y;
		}
		float best = top;
#pragma unroll
		for (int j = 0; j < 2; j++)
#pragma unroll
			for (int h = 0; h < 2; h++) {
				int at = key + 8 * j + 2 * t + h;
				s[j][h] = at >= from && at < min(to, end) ? capped(s[j][h] * factor, softcap) : negative_infinity();
				best = fmaxf(best, s[j][h]);
			}
		best = fmaxf(best, __shfl_xor_sync(full_warp, best, 1));
		best = fmaxf(best, __shfl_xor_sync(full_warp, best, 2));
		float less = power(top, best);
		top = best, total *= less;
		uint32_t b[2];
#pragma unroll
		for (int j = 0; j < 2; j++) { // the sums are of the weights as rounded
			b[j] = pack_h2(power(s[j][0], best), power(s[j][1], best));
			total += h2f(b[j]) + h2f(b[j] >> 16);
		}
		float less0 = __shfl_sync(full_warp, less, 8 * t), less1 = __shfl_sync(full_warp, less, 8 * t + 4);
		if (i > 0 && __any_sync(full_warp, less != 1)) {
#pragma unroll
			for (int j = 0; j < dims / 16; j++) sum[j][0] *= less0, sum[j][1] *= less1, sum[j][2] *= less0, sum[j][3] *= less1;
		}
		add_values<DIM, TYPE>(sum, v, b);
	}

	// The warps' sums, weighted, through as many slots as there is room for.
	total += __shfl_xor_sync(full_warp, total, 1);
	total += __shfl_xor_sync(full_warp, total, 2);
	if (t == 0 && side == 0) sums->group[group][g] = make_float2(top, total);
	__syncthreads();
	int active = min(groups, tiles);
	float all = negative_infinity(), sum_all = 0; // of row lane%8
	for (int i = lane / 8; i < active; i += 4) all = fmaxf(all, sums->group[i][lane % 8].x);
	all = fmaxf(all, __shfl_xor_sync(full_warp, all, 8));
	all = fmaxf(all, __shfl_xor_sync(full_warp, all, 16));
	for (int i = lane / 8; i < active; i += 4) sum_all += sums->group[i][lane % 8].y * power(sums->group[i][lane % 8].x, all);
	sum_all += __shfl_xor_sync(full_warp, sum_all, 8);
	sum_all += __shfl_xor_sync(full_warp, sum_all, 16);
	float weight[2];
#pragma unroll
	for (int i = 0; i < 2; i++) weight[i] = power(__shfl_sync(full_warp, top, 8 * t + 4 * i), __shfl_sync(full_warp, all, 2 * t + i));

	const int stride = DIM + 4, floats = decode_slots / 4, results = (8 * DIM + DECODE_THREADS - 1) / DECODE_THREADS;
	float *slots = (float *)smem, out[results] = {};
	int room = rows <= 4 ? floats / (4 * stride) : floats / (8 * stride), size = rows * stride;
	for (int base = 0; base < active; base += room) {
		if (base > 0) __syncthreads();
		if (group >= base && group < min(base + room, active)) {
#pragma unroll
			for (int i = 0; i < 2; i++) {
				if (2 * t + i >= rows) continue;
				float *slot = slots + (group - base) * size + (2 * t + i) * stride + side * dims;
#pragma unroll
				for (int c = 0; c < dims / 64; c++) put_strip<8>(slot + 64 * c, sum + 4 * c, i, weight[i]);
				if constexpr (dims % 64 >= 32) put_strip<4>(slot + dims / 64 * 64, sum + dims / 64 * 4, i, weight[i]);
				if constexpr (dims % 32) put_strip<2>(slot + dims / 32 * 32, sum + dims / 32 * 2, i, weight[i]);
			}
		}
		__syncthreads();
		int n = min(room, active - base);
#pragma unroll
		for (int j = 0; j < results; j++) {
			int e = threadIdx.x + j * DECODE_THREADS;
			if (e >= rows * DIM) break;
			for (int i = 0; i < n; i++) out[j] += slots[i * size + e / DIM * stride + e % DIM];
		}
	}

	float *partial = a.partials + (int64_t)(set * a.splits + split) * decode_partial<DIM>();
#pragma unroll
	for (int j = 0; j < results; j++) {
		int e = threadIdx.x + j * DECODE_THREADS, r = first + e / DIM;
		float l = __shfl_sync(full_warp, sum_all, min(e / DIM, 7));
		if (e >= rows * DIM) continue;
		if (splits > 1) {
			partial[16 + e] = out[j];
			continue;
		}
		int64_t head = a.n == 1 ? kv * a.group + r : r / a.group * a.heads + kv * a.group + r % a.group;
		a.dst[head * DIM + e % DIM] = l > 0 ? out[j] / l : 0;
	}
	if (splits == 1) return;
	if (threadIdx.x < 8) partial[threadIdx.x] = all, partial[8 + threadIdx.x] = sum_all;
	decode_join<DIM>(a, partial - (int64_t)split * decode_partial<DIM>(), set, splits, rows, smem);
}

template <int DIM> DEVICE void decode_join(const Decode &a, const float *partials, int set, int splits, int rows, char *smem) {
	DecodeSums *sums = (DecodeSums *)(smem + decode_slots);
	float2 *weight = (float2 *)smem; // (splits, 8)
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, size = decode_partial<DIM>();
	__threadfence();
	__syncthreads();
	if (threadIdx.x == 0) {
		sums->last = atomicAdd(a.counters + set, 1) == splits - 1;
		if (sums->last) a.counters[set] = 0;
	}
	__syncthreads();
	if (!sums->last) return;
	__threadfence();

	if (warp < rows) {
		float top = negative_infinity(), total = 0;
		for (int i = lane; i < splits; i += 32) {
			float2 w = make_float2(load_fresh(partials + i * size + warp), load_fresh(partials + i * size + 8 + warp));
			weight[i * 8 + warp] = w;
			top = fmaxf(top, w.x);
		}
		top = warp_max(top);
		for (int i = lane; i < splits; i += 32) {
			float2 *w = &weight[i * 8 + warp];
			w->x = power(w->x, top);
			total += w->x * w->y;
		}
		total = warp_sum(total);
		if (lane == 0) sums->sum[warp] = total;
	}
	__syncthreads();
	int kv = set / a.passes, first = (set - kv * a.passes) * 8;
	for (int e = threadIdx.x; e < rows * DIM; e += DECODE_THREADS) {
		int row = e / DIM, r = first + row;
		float out = 0;
#pragma unroll 8
		for (int i = 0; i < splits; i++) out += weight[i * 8 + row].x * load_fresh(partials + i * size + 16 + e);
		int64_t head = r / a.group * a.heads + kv * a.group + r % a.group;
		a.dst[head * DIM + e % DIM] = sums->sum[row] > 0 ? out / sums->sum[row] : 0;
	}
}
