// Products of one to eight rows of x with weights that are as a file has them:
// dst (n, m) = x (n, k) · wᵀ, w (m, k), x f32, dst f32, f16 or bf16. Packed weights have matvec.cu.
//
//	matvec_raw_{type}    one row of x
//	matvec_raw_{type}_8  up to 8
//	matvec_raw_plain     up to 8, w of any plain type, at any address
//
// Floats: a warp takes two rows of w, a lane 16 bytes of each at a time, of one
// row of x four times in flight; rows of w and x begin at multiples of 16
// bytes. Launch: ceil(m / 8) blocks of 128 threads.
//
// Quantised: a warp takes a row, a lane a chunk of 32 numbers. x lies in shared
// memory as 15-bit integers; where it does not fit, it comes in pieces of `tile`
// chunks. Code books are beside it. Launch: as many blocks of 512 threads as are
// resident, n·stagedBytes(tile) shared.
//
// Bound: memory, reading w once; of 2-bit types also the instructions.
// measured: not yet
#include "cuda.cuh"
#include "format.cuh"
#include "number.cuh"

struct MatVecRawArgs {
	Planes w;         // blocks or numbers at p[0]
	uint64_t x, dst;  // x f32 (n, k)
	int32_t n, m, k;
	int32_t tile;     // chunks of x in shared memory
	int32_t type;     // of w: matvec_raw_plain
	int32_t dst_type;
};

// finish adds up the lanes' sums of a row of w.
template <int N> DEVICE void finish(const MatVecRawArgs &a, const float sum[N], int row) {
#pragma unroll
	for (int j = 0; j < N; j++) {
		if (N > 1 && j >= a.n) break;
		float v = warp_sum(sum[j]);
		if (threadIdx.x % 32 == 0) {
			int64_t i = (int64_t)j * a.m + row;
			if (a.dst_type == F32) ((float *)a.dst)[i] = v;
			else ((uint16_t *)a.dst)[i] = a.dst_type == F16 ? f2h(v) : f2bf(v);
		}
	}
}

// ---- floats

// widen makes numbers of 16 bytes.
template <int T> DEVICE void widen(float *w, uint4 v) {
	uint32_t q[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if constexpr (T == F32) w[i] = __uint_as_float(q[i]);
		else if constexpr (T == F16) w[2 * i] = low_half(q[i]), w[2 * i + 1] = high_half(q[i]);
		else w[2 * i] = __uint_as_float(q[i] << 16), w[2 * i + 1] = __uint_as_float(q[i] & 0xffff0000);
	}
}

template <int T, int N> DEVICE void matvec_floats(const MatVecRawArgs &a) {
	constexpr int rows = 2, ahead = N == 1 ? 4 : 2, bytes = block_bytes(T), V = 16 / bytes;
	int row = (blockIdx.x * 4 + threadIdx.x / 32) * rows;
	if (row >= a.m) return;
	const char *w[rows];
	float sum[rows][N];
#pragma unroll
	for (int r = 0; r < rows; r++) {
		w[r] = a.w.p[0] + (int64_t)min(row + r, a.m - 1) * a.k * bytes;
#pragma unroll
		for (int j = 0; j < N; j++) sum[r][j] = 0;
	}
	for (int c = threadIdx.x % 32 * V; c < a.k; c += 32 * V * ahead) {
		uint4 q[ahead][rows];
#pragma unroll
		for (int u = 0; u < ahead; u++)
#pragma unroll
			for (int r = 0; r < rows; r++)
				q[u][r] = c + 32 * V * u < a.k ? stream16(w[r] + (int64_t)(c + 32 * V * u) * bytes) : make_uint4(0, 0, 0, 0);
#pragma unroll
		for (int u = 0; u < ahead; u++) {
			int at = c + 32 * V * u;
			if (at >= a.k) break;
			float v[rows][V];
#pragma unroll
			for (int r = 0; r < rows; r++) widen<T>(v[r], q[u][r]);
#pragma unroll
			for (int j = 0; j < N; j++) {
				if (N > 1 && j >= a.n) break;
				const float *x = (const float *)a.x + (int64_t)j * a.k + at;
#pragma unroll
				for (int i = 0; i < V; i += 4) {
					uint4 y = load16(x + i);
					float f[4] = {__uint_as_float(y.x), __uint_as_float(y.y), __uint_as_float(y.z), __uint_as_float(y.w)};
#pragma unroll
					for (int r = 0; r < rows; r++)
#pragma unroll
						for (int l = 0; l < 4; l++) sum[r][j] = fmaf(v[r][i + l], f[l], sum[r][j]);
				}
			}
		}
	}
#pragma unroll
	for (int r = 0; r < rows; r++)
		if (row + r < a.m) finish<N>(a, sum[r], row + r);
}

#define FLOATS(T, name) \
	KERNEL(matvec_raw_##name, MatVecRawArgs, 128, 4) { matvec_floats<T, 1>(a); } \
	KERNEL(matvec_raw_##name##_8, MatVecRawArgs, 128, 4) { matvec_floats<T, 8>(a); }
FLOAT_TYPES(FLOATS)

KERNEL(matvec_raw_plain, MatVecRawArgs, 128, 4) {
	int row = blockIdx.x * 4 + threadIdx.x / 32;
	if (row >= a.m) return;
	float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
	for (int c = threadIdx.x % 32; c < a.k; c += 32) {
		float w = number_at(a.w.p[0], a.type, (int64_t)row * a.k + c);
#pragma unroll
		for (int j = 0; j < 8; j++) {
			if (j >= a.n) break;
			sum[j] = fmaf(w, ((const float *)a.x)[(int64_t)j * a.k + c], sum[j]);
		}
	}
	finish<8>(a, sum, row);
}

// ---- quantised

const int THREADS = 512, WARPS = THREADS / 32;

// Staged are chunks of one row of x as 15-bit integers 128·hi + lo with a scale
// for each chunk: a product is two dp4a, with an error of 4e-5.
struct Staged {
	uint4 *hi, *lo; // (2, tile): numbers 0–15, 16–31 of the chunks
	int2 *sums;     // (tile): of the integers of each half
	float *scale;   // (tile)
};

DEVICE Staged staged(const MatVecRawArgs &a, int j) {
	Staged x;
	x.hi = (uint4 *)(dynamic_shared() + j * ((a.tile * 76 + 15) & ~15));
	x.lo = x.hi + 2 * a.tile;
	x.sums = (int2 *)(x.lo + 2 * a.tile);
	x.scale = (float *)(x.sums + a.tile);
	return x;
}

// stage brings `width` chunks of row j of x, from chunk t on; eight threads
// share one. A chunk with an infinity or NaN is 0 times infinity.
DEVICE void stage(const MatVecRawArgs &a, int j, int t, int width) {
	const float4 *from = (const float4 *)((const float *)a.x + (int64_t)j * a.k + 32 * t);
	Staged to = staged(a, j);
	for (int base = 0; base < 8 * width; base += THREADS) {
		int i = base + threadIdx.x, c = i / 8, part = i % 8;
		float4 v = i < 8 * width ? from[i] : make_float4(0, 0, 0, 0);
		float x[4] = {v.x, v.y, v.z, v.w}, most = 0;
#pragma unroll
		for (int k = 0; k < 4; k++) most = fmaxf(most, x[k] == x[k] ? fabsf(x[k]) : __uint_as_float(0x7f800000));
#pragma unroll
		for (int k = 1; k < 8; k *= 2) most = fmaxf(most, __shfl_xor_sync(full_warp, most, k));
		const float limit = 16255; // 127·128 − 1: hi ends at 127
		float inverse = most > 1e-30f ? limit / most : 0;
		uint32_t hi = 0, lo = 0;
		int sum = 0;
#pragma unroll
		for (int k = 0; k < 4; k++) {
			int q = __float2int_rn(x[k] * inverse), h = (q + 64) >> 7;
			hi |= (uint32_t)(h & 255) << 8 * k;
			lo |= (uint32_t)((q - 128 * h) & 255) << 8 * k;
			sum += q;
		}
		sum += __shfl_xor_sync(full_warp, sum, 1);
		sum += __shfl_xor_sync(full_warp, sum, 2);
		if (i >= 8 * width) continue;
		((uint32_t *)(to.hi + part / 4 * a.tile + c))[part % 4] = hi;
		((uint32_t *)(to.lo + part / 4 * a.tile + c))[part % 4] = lo;
		if (part % 4 == 0) ((int *)(to.sums + c))[part / 4] = sum;
		if (part == 0) to.scale[c] = most / limit;
	}
}

DEVICE int dot16(const int q[4], uint4 hi, uint4 lo) {
	int h = dp4a(q[0], (int)hi.x, 0), l = dp4a(q[0], (int)lo.x, 0);
	h = dp4a(q[1], (int)hi.y, h), l = dp4a(q[1], (int)lo.y, l);
	h = dp4a(q[2], (int)hi.z, h), l = dp4a(q[2], (int)lo.z, l);
	h = dp4a(q[3], (int)hi.w, h), l = dp4a(q[3], (int)lo.w, l);
	return h * 128 + l;
}

// add_chunk adds a chunk of w times chunk c of each row of x.
template <int T, int N> DEVICE void add_chunk(float sum[N], const Chunk &w, const MatVecRawArgs &a, int c) {
#pragma unroll
	for (int j = 0; j < N; j++) {
		if (N > 1 && j >= a.n) break;
		Staged x = staged(a, j);
		int s0 = dot16(w.q, x.hi[c], x.lo[c]), s1 = dot16(w.q + 4, x.hi[a.tile + c], x.lo[a.tile + c]);
		if constexpr (of_levels(T)) {
			s0 = s0 * HIGH + dot16(w.low, x.hi[c], x.lo[c]);
			s1 = s1 * HIGH + dot16(w.low + 4, x.hi[a.tile + c], x.lo[a.tile + c]);
		}
		float dot = fmaf(w.d[0], (float)s0, w.d[1] * (float)s1);
		if constexpr (has_offset(T)) {
			int2 t = x.sums[c];
			dot = fmaf(w.m[0], (float)t.x, fmaf(w.m[1], (float)t.y, dot));
		}
		sum[j] = fmaf(x.scale[c], dot, sum[j]);
	}
}

template <int T, int N> DEVICE void matvec_quantised(const MatVecRawArgs &a) {
	constexpr int size = book_size(T);
	SHARED uint32_t entries[size ? size : 1];
	const uint32_t *book = 0;
	if constexpr (size > 0) {
		unpack_book<T>(entries);
		book = entries;
	}
	int chunks = a.k / 32, lane = threadIdx.x % 32;
	bool there = false;
	for (int first = blockIdx.x * WARPS; first < a.m; first += gridDim.x * WARPS) {
		int row = first + threadIdx.x / 32;
		float sum[N];
#pragma unroll
		for (int j = 0; j < N; j++) sum[j] = 0;
		for (int t = 0; t < chunks; t += a.tile) {
			int width = min(a.tile, chunks - t);
			if (a.tile < chunks || !there) {
				__syncthreads();
				for (int j = 0; j < a.n; j++) stage(a, j, t, width);
				__syncthreads();
				there = true;
			}
			if (row >= a.m) continue;
#pragma unroll 1
			for (int c = lane; c < width; c += 32) {
				Chunk w;
				load_chunk<T + RAW>(w, a.w, (int64_t)row * chunks + t + c, chunks, book);
				add_chunk<T, N>(sum, w, a, c);
			}
		}
		if (row < a.m) finish<N>(a, sum, row);
	}
}

#define QUANTISED(T, name) \
	KERNEL(matvec_raw_##name, MatVecRawArgs, THREADS, 2) { matvec_quantised<T, 1>(a); } \
	KERNEL(matvec_raw_##name##_8, MatVecRawArgs, THREADS, 2) { matvec_quantised<T, 8>(a); }
RAW_TYPES(QUANTISED)
