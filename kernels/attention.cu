// attention: dst (n, heads, dim) = softmax(q·kᵀ·scale)·v for many queries, over
// caches of f16 or q8_0 (FlashAttention-2, Dao 2023).
//
// Launch: a block of 4 warps a tile of 64 rows and key head, the last tiles
// first, since they see the most keys. A row is a query head of a query, so
// that the heads of a group share keys and values. A warp has 16 rows; tiles of
// 64 keys (32 of heads of 256) pass by, and those that no row sees are left out.
// While a tile of keys is at work its values are on the way, and the other way
// round. Positions need not be in order: every row has its own limits. Rows of
// several sequences (attention_seq) are taken a run of one after the other; a
// row's result is the same in every tile.
//
// Bound by operations: 4·dim for a query head and key, on tensor cores. Shared
// memory: a tile of keys and one of values; queries, too, for heads of 256.
#include "attention.cuh"

struct AttentionArgs {
	const float *q; // (n, heads, dim)
	char *k, *v;    // caches (seqs·rows, kv_heads·dim)
	const int32_t *pos;
	const int32_t *seq; // (n): attention_seq; may be null there
	float *dst;
	uint64_t fault;
	int32_t n, heads, kv_heads, group, seqs, rows, window;
	float scale, softcap;
	int32_t pad;
};

const int TILE = 64; // rows

// where is the place of 8 numbers of a tile in shared memory, in bytes. Eight
// rows of one column lie in different banks.
template <int DIM> DEVICE int where(int row, int column) {
	if (DIM % 64 == 0) return row * DIM * 2 + (column ^ row % 8) * 16;
	return row * (DIM + 8) * 2 + column * 16;
}
template <int DIM> DEVICE constexpr int tile_bytes(int rows) { return rows * (DIM % 64 == 0 ? DIM : DIM + 8) * 2; }
template <int DIM> DEVICE constexpr int tile_keys() { return DIM > 128 ? 32 : 64; }

// A Run is the queries [begin, end) of a block's tile that are of one sequence.
struct Run {
	int begin, end, latest;
	Sequence sequence;
};

// A Reach is the part of a cache that a block reads: positions up to `last`,
// position p in row p-turn, or p-turn-rows; numbers 8·first on of 8·cols. Of a
// sequence positions from `start`, and where scales are: cache_scale's total.
struct Reach {
	int cols, first, rows, turn, last, start;
	int64_t total;
};

// place_of is the number of a cache that piece i of a thread begins with, and
// where it goes in the tile.
struct Place {
	uint64_t number;
	int to;
};
template <int DIM, bool SEQ> DEVICE Place place_of(const Reach &r, int position, int i) {
	int at = threadIdx.x + 128 * i, key = at / (DIM / 8), column = at % (DIM / 8), row = min(position + key, r.last);
	if (SEQ) row = max(row, r.start);
	row -= r.turn;
	if (row >= r.rows) row -= r.rows;
	return {(uint64_t)((uint32_t)row * r.cols + r.first + column) * 8, where<DIM>(key, column)};
}

// bring copies the keys from a position on to shared memory, as f16; as they
// are, or through registers, half at a time where heads of 256 need them.
template <int DIM, int TYPE, bool SEQ> DEVICE void bring_async(char *tile, char *cache, const Reach &r, int position) {
#pragma unroll
	for (int i = 0; i < tile_keys<DIM>() * DIM / 8 / 128; i++) {
		Place p = place_of<DIM, SEQ>(r, position, i);
		cp_async16(tile + p.to, cache_at<TYPE>(cache, p.number));
	}
}
template <int DIM, int TYPE, bool SEQ> DEVICE void bring_through(char *tile, char *cache, const Reach &r, int position) {
	const int turns = DIM > 128 ? 2 : 1, n = tile_keys<DIM>() * DIM / 8 / 128 / turns;
#pragma unroll 1
	for (int turn = 0; turn < turns; turn++) {
		Piece<TYPE, 8> piece[n];
#pragma unroll
		for (int i = 0; i < n; i++) {
			Place p = place_of<DIM, SEQ>(r, position, turn * n + i);
			fetch(piece[i], cache_at<TYPE>(cache, p.number), cache_scale(cache, p.number, SEQ ? r.total : (int64_t)r.rows * r.cols * 8));
		}
#pragma unroll
		for (int i = 0; i < n; i++)
			*(uint4 *)(tile + place_of<DIM, SEQ>(r, position, turn * n + i).to) =
				make_uint4(word(piece[i], 0), word(piece[i], 1), word(piece[i], 2), word(piece[i], 3));
	}
}
template <int DIM, int TYPE, bool SEQ> DEVICE void bring(char *tile, char *cache, const Reach &r, int position) {
	if (async_copies && TYPE == CACHE_F16) bring_async<DIM, TYPE, SEQ>(tile, cache, r, position);
	else bring_through<DIM, TYPE, SEQ>(tile, cache, r, position);
}

// put_queries writes a warp's 16 rows to shared memory as f16, each scaled by a
// power of two that brings its largest number between 1 and 2. factor is what
// the scores of the lane's rows, i/4 and i/4+8, are multiplied by.
template <int DIM> DEVICE void put_queries(const AttentionArgs &a, char *tile, int kv, int first, int rows, float factor[2]) {
	const int n = (DIM / 8 + 7) / 8; // 8 lanes a row
	int lane = threadIdx.x % 32;
#pragma unroll
	for (int pass = 0; pass < 4; pass++) {
		int row = pass * 4 + lane / 8, r = first + row, query = r / a.group;
		const float *q = a.q + ((int64_t)query * a.heads + kv * a.group + r - query * a.group) * DIM;
		float4 x[n][2];
		float top = 0;
#pragma unroll
		for (int i = 0; i < n; i++) {
			int column = lane % 8 + 8 * i;
#pragma unroll
			for (int j = 0; j < 2; j++) {
				x[i][j] = make_float4(0, 0, 0, 0);
				if (r < rows && column < DIM / 8) x[i][j] = *(const float4 *)(q + 8 * column + 4 * j);
				top = fmaxf(top, fmaxf(fmaxf(fabsf(x[i][j].x), fabsf(x[i][j].y)), fmaxf(fabsf(x[i][j].z), fabsf(x[i][j].w))));
			}
		}
		for (int i = 1; i < 8; i *= 2) top = fmaxf(top, __shfl_xor_sync(full_warp, top, i));
		int exponent = min(max((int)(__float_as_uint(top) >> 23), 1), 253);
		float up = __uint_as_float((254 - exponent) << 23), down = __uint_as_float(exponent << 23);
#pragma unroll
		for (int i = 0; i < n; i++) {
			int column = lane % 8 + 8 * i;
			if (column < DIM / 8)
				*(uint4 *)(tile + where<DIM>(threadIdx.x / 32 * 16 + row, column)) = make_uint4(
					pack_h2(x[i][0].x * up, x[i][0].y * up), pack_h2(x[i][0].z * up, x[i][0].w * up),
					pack_h2(x[i][1].x * up, x[i][1].y * up), pack_h2(x[i][1].z * up, x[i][1].w * up));
		}
		float f = __shfl_sync(full_warp, score_factor(down * a.scale, a.softcap), lane / 4 % 4 * 8);
		if (lane / 16 == pass) factor[0] = f;
		if (lane / 16 + 2 == pass) factor[1] = f;
	}
}

// attend is the attention of a run, with SEQ; without, of all queries.
template <int DIM, int TYPE, bool SEQ> DEVICE void attend(const AttentionArgs &a, const Run &run, char *cache_k, char *cache_v) {
	const int KEYS = tile_keys<DIM>();
	const bool roomy = DIM <= 128; // queries fit into registers
	char *keys = dynamic_shared(), *values = keys + tile_bytes<DIM>(KEYS), *queries = roomy ? keys : values + tile_bytes<DIM>(KEYS);
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, kv = blockIdx.y;
	int first = (gridDim.x - 1 - blockIdx.x) * TILE + warp * 16, rows = a.n * a.group; // first row of the warp, all rows

	// What the rows see, [from, to), and the block and the warp in all.
	int *memory = (int *)keys;
	int from[2], to[2];
	int lo = 0x7fffffff, hi = 0, late = 0, early = 0x7fffffff;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int r = first + g + 8 * i, query = min(r, rows - 1) / a.group;
		Sight s = {0, 0};
		if (!SEQ || run.sequence.number >= 0) s = sight_of(a.pos[query], run.latest, a.rows, a.window);
		from[i] = s.from, to[i] = s.to;
		if (SEQ && (query < run.begin || query >= run.end)) continue;
		lo = min(lo, s.from), hi = max(hi, s.to), late = max(late, s.from), early = min(early, s.to);
	}
	for (int i = 4; i < 32; i *= 2) {
		lo = min(lo, __shfl_xor_sync(full_warp, lo, i)), hi = max(hi, __shfl_xor_sync(full_warp, hi, i));
		late = max(late, __shfl_xor_sync(full_warp, late, i)), early = min(early, __shfl_xor_sync(full_warp, early, i));
	}
	int own_lo = lo, own_hi = hi;
	__syncthreads();
	if (lane == 0) memory[warp] = lo, memory[4 + warp] = hi;
	__syncthreads();
	for (int i = 0; i < 4; i++) lo = min(lo, memory[i]), hi = max(hi, memory[4 + i]);
	__syncthreads();
	int start = lo; // tiles of keys end at the same positions for all runs
	if (SEQ) lo = lo / KEYS * KEYS;

	float factor[2];
	put_queries<DIM>(a, queries, kv, first, rows, factor);
	uint32_t q[roomy ? DIM / 16 : 1][4];
	const char *corner = queries; // of the warp's queries
	int row = warp * 16 + lane % 16;
	if (roomy) {
		__syncwarp();
#pragma unroll
		for (int i = 0; i < DIM / 16; i++) ldmatrix4(q[i % (roomy ? DIM / 16 : 1)], corner + where<DIM>(row, 2 * i + lane / 16));
	}
	__syncthreads();

	Reach reach = {a.kv_heads * (DIM / 8), kv * (DIM / 8), a.rows, hi <= a.rows ? 0 : start / a.rows * a.rows, max(hi - 1, start), start, scales_of(run.sequence, a.kv_heads * DIM)};
	float sum[DIM / 8][4] = {}, top[2] = {lowest, lowest}, total[2] = {};
	if (lo < hi) bring<DIM, TYPE, SEQ>(keys, cache_k, reach, lo);
	cp_async_commit();
	for (int position = lo; position < hi; position += KEYS) {
		bool seen = position < own_hi && position + KEYS > own_lo;
		bring<DIM, TYPE, SEQ>(values, cache_v, reach, position);
		cp_async_commit();
		cp_async_wait<1>();
		__syncthreads();
		float s[KEYS / 8][4] = {};
		if (seen) {
#pragma unroll
			for (int i = 0; i < DIM / 16; i++) {
				uint32_t *x = q[i % (roomy ? DIM / 16 : 1)];
				if (!roomy) ldmatrix4(x, corner + where<DIM>(row, 2 * i + lane / 16));
#pragma unroll
				for (int j = 0; j < KEYS / 16; j++) {
					uint32_t b[4];
					ldmatrix4(b, keys + where<DIM>(16 * j + lane / 16 * 8 + lane % 8, 2 * i + lane / 8 % 2));
					mma_f16(s[2 * j], x, b);
					mma_f16(s[2 * j + 1], x, b + 2);
				}
			}
		}
		__syncthreads();
		if (position + KEYS < hi) bring<DIM, TYPE, SEQ>(keys, cache_k, reach, position + KEYS);
		cp_async_commit();

		if (seen) {
			bool whole = position >= late && position + KEYS <= early;
			float best[2] = {top[0], top[1]};
#pragma unroll
			for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
				for (int i = 0; i < 4; i++) {
					int at = position + 8 * j + 2 * t + i % 2;
					s[j][i] *= factor[i / 2];
					if (a.softcap != 0) s[j][i] = capped(s[j][i], a.softcap);
					if (!whole && (at < from[i / 2] || at >= to[i / 2])) s[j][i] = negative_infinity();
					best[i / 2] = fmaxf(best[i / 2], s[j][i]);
				}
#pragma unroll
			for (int i = 0; i < 2; i++) {
				best[i] = fmaxf(best[i], __shfl_xor_sync(full_warp, best[i], 1));
				best[i] = fmaxf(best[i], __shfl_xor_sync(full_warp, best[i], 2));
				float less = ex2(top[i] - best[i]);
				top[i] = best[i], total[i] *= less;
#pragma unroll
				for (int j = 0; j < DIM / 8; j++) sum[j][2 * i] *= less, sum[j][2 * i + 1] *= less;
			}
#pragma unroll
			for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
				for (int i = 0; i < 4; i++) {
					s[j][i] = ex2(s[j][i] - best[i / 2]);
					total[i / 2] += s[j][i];
				}
		}
		cp_async_wait<1>();
		__syncthreads();
		if (seen) {
#pragma unroll
			for (int j = 0; j < KEYS / 16; j++) {
				uint32_t p[4] = {pack_h2(s[2 * j][0], s[2 * j][1]), pack_h2(s[2 * j][2], s[2 * j][3]),
					pack_h2(s[2 * j + 1][0], s[2 * j + 1][1]), pack_h2(s[2 * j + 1][2], s[2 * j + 1][3])};
#pragma unroll
				for (int i = 0; i < DIM / 16; i++) {
					uint32_t b[4];
					ldmatrix4t(b, values + where<DIM>(16 * j + lane % 16, 2 * i + lane / 16));
					mma_f16(sum[2 * i], p, b);
					mma_f16(sum[2 * i + 1], p, b + 2);
				}
			}
		}
		__syncthreads();
	}
#pragma unroll
	for (int i = 0; i < 2; i++) {
		total[i] += __shfl_xor_sync(full_warp, total[i], 1);
		total[i] += __shfl_xor_sync(full_warp, total[i], 2);
		int r = first + g + 8 * i, query = r / a.group;
		if (r >= rows || SEQ && (query < run.begin || query >= run.end)) continue;
		float inverse = total[i] > 0 ? 1 / total[i] : 0; // nothing was seen: zeros
		float *dst = a.dst + ((int64_t)query * a.heads + kv * a.group + r - query * a.group) * DIM + 2 * t;
#pragma unroll
		for (int j = 0; j < DIM / 8; j++) *(float2 *)(dst + 8 * j) = make_float2(sum[j][2 * i] * inverse, sum[j][2 * i + 1] * inverse);
	}
}

template <int DIM, int TYPE> DEVICE void attention(const AttentionArgs &a) {
	int latest = latest_of(a.pos, a.n, a.fault, (int *)dynamic_shared());
	attend<DIM, TYPE, false>(a, {0, a.n, latest, {}}, a.k, a.v);
}

// attention_seq takes the queries of a tile run by run.
template <int DIM, int TYPE> DEVICE void attention_seq(const AttentionArgs &a) {
	int cols = a.kv_heads * DIM, first = (gridDim.x - 1 - blockIdx.x) * TILE, last = min(first + TILE, a.n * a.group) - 1;
	for (int begin = first / a.group, end; begin <= last / a.group; begin = end) {
		Sequence s = sequence_of(a.seq, begin, a.seqs, a.rows, cols, a.fault);
		for (end = begin + 1; end <= last / a.group && (!a.seq || a.seq[end] == a.seq[begin]); end++) {}
		__syncthreads();
		int latest = latest_of(a.pos, a.n, a.fault, (int *)dynamic_shared(), a.seq, s.number);
		attend<DIM, TYPE, true>(a, {begin, end, latest, s}, cache_at<TYPE>(a.k, s.base * cols), cache_at<TYPE>(a.v, s.base * cols));
	}
}

#define ATTENTION(dim, name, type) \
	KERNEL(attention_##name##_##dim, AttentionArgs, 128, 1) { attention<dim, type>(a); } \
	KERNEL(attention_seq_##name##_##dim, AttentionArgs, 128, 1) { attention_seq<dim, type>(a); }
ATTENTION(64, f16, CACHE_F16)
ATTENTION(80, f16, CACHE_F16)
ATTENTION(96, f16, CACHE_F16)
ATTENTION(112, f16, CACHE_F16)
ATTENTION(128, f16, CACHE_F16)
ATTENTION(256, f16, CACHE_F16)
ATTENTION(64, q8_0, CACHE_Q8_0)
ATTENTION(96, q8_0, CACHE_Q8_0)
ATTENTION(128, q8_0, CACHE_Q8_0)
ATTENTION(256, q8_0, CACHE_Q8_0)
