// Products of one to eight rows of x with weights that are as a file has them:
// dst (n, m) = x (n, k) · wᵀ, w (m, k), x f32, dst f32, f16 or bf16. Sums are
// float32. Packed weights have matvec.cu.
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
// memory, 36 numbers a chunk, so that eight lanes that read 16 bytes of eight
// chunks meet all banks. Where it does not fit, it comes in pieces of `tile`
// chunks. Launch: as many blocks of 512 threads as are resident, n·tile·144
// bytes shared.
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
		if (j >= a.n) break;
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
				if (j >= a.n) break;
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

const int STAGED = 36; // numbers that a chunk of x takes in shared memory

// stage copies `width` chunks of each row of x, from chunk t on.
DEVICE void stage(const MatVecRawArgs &a, float *staged, int t, int width) {
	for (int j = 0; j < a.n; j++) {
		const float *x = (const float *)a.x + (int64_t)j * a.k + 32 * t;
		float *to = staged + j * a.tile * STAGED;
		for (int i = threadIdx.x; i < 32 * width; i += 512) to[i / 32 * STAGED + i % 32] = x[i];
	}
}

// add_chunk adds a chunk of w times the same chunk of each row of x.
template <int T, int N> DEVICE void add_chunk(float sum[N], const Chunk &w, const float *x, int stride, int n) {
	float part[N];
#pragma unroll
	for (int i = 0; i < 8; i++) {
		float v[4];
#pragma unroll
		for (int b = 0; b < 4; b++) {
			v[b] = byte_float(flip(w.q[i]), b);
			if constexpr (has_offset(T)) v[b] = fmaf(v[b], w.d[i / 4], w.m[i / 4]);
		}
#pragma unroll
		for (int j = 0; j < N; j++) {
			if (j >= n) break;
			float4 y = *(const float4 *)(x + j * stride + 4 * i);
			float dot = fmaf(v[0], y.x, fmaf(v[1], y.y, fmaf(v[2], y.z, v[3] * y.w)));
			if constexpr (has_offset(T)) {
				sum[j] += dot;
			} else {
				part[j] = i % 4 ? part[j] + dot : dot;
				if (i % 4 == 3) sum[j] = fmaf(w.d[i / 4], part[j], sum[j]);
			}
		}
	}
}

template <int T, int N> DEVICE void matvec_quantised(const MatVecRawArgs &a) {
	float *x = (float *)dynamic_shared();
	int chunks = a.k / 32, lane = threadIdx.x % 32;
	bool staged = false;
	for (int first = blockIdx.x * 16; first < a.m; first += gridDim.x * 16) {
		int row = first + threadIdx.x / 32;
		float sum[N];
#pragma unroll
		for (int j = 0; j < N; j++) sum[j] = 0;
		for (int t = 0; t < chunks; t += a.tile) {
			int width = min(a.tile, chunks - t);
			if (a.tile < chunks || !staged) {
				__syncthreads();
				stage(a, x, t, width);
				__syncthreads();
				staged = true;
			}
			if (row >= a.m) continue;
			for (int c = lane; c < width; c += 32) {
				Chunk w;
				load_chunk<T + RAW>(w, a.w, (int64_t)row * chunks + t + c);
				add_chunk<T, N>(sum, w, x + c * STAGED, a.tile * STAGED, a.n);
			}
		}
		if (row < a.m) finish<N>(a, sum, row);
	}
}

#define QUANTISED(T, name) \
	KERNEL(matvec_raw_##name, MatVecRawArgs, 512, 2) { matvec_quantised<T, 1>(a); } \
	KERNEL(matvec_raw_##name##_8, MatVecRawArgs, 512, 2) { matvec_quantised<T, 8>(a); }
RAW_TYPES(QUANTISED)
