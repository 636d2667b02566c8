// matvec: y (m) = W (m, k) · x (k), W packed (see format.cuh), x and y f32.
//
// Launch: one block of 512 threads an SM. Shared memory: the ring and the
// activations. Bound by reading W once; see product.cuh.
//
// measured, with the launch: q4_k 14336 × 4096 2,360 GB/s, q6_k 128256 × 4096
// 3,460, q8_0 262144 × 1152 3,940 of 4,540 that the card streams (H200,
// 2026-11-23). Instructions bound it there: 130 a warp for 1,024 weights.
#include "product.cuh"

struct MatVec {
	Product product; // of one part
};

template <int TYPE, bool RING> DEVICE void matvec(const MatVec &a) {
	SHARED Product p;
	SHARED float sums[2 * MATVEC_WARPS];
	SHARED Best bests[MATVEC_WARPS];
	SHARED float gates[1];
	copy_words(&p, &a.product, sizeof(Product));
	__syncthreads();
	Flow f = start_flow(activation_bytes(p.cols), 0);
	Loaded pending[unroll<false>];
	fetch_any<RING, TYPE>(f, pending, &p);
	Activations x = activations(dynamic_shared(), p.cols / 32);
	float factor = prepare(p, x, sums);
	product<RING, TYPE>(&p, 0, f, pending, x, factor, gates, bests);
}

#define MATVEC(type, number) \
	KERNEL(matvec_##type, MatVec, MATVEC_THREADS, 1) { matvec<number, false>(a); } \
	KERNEL(matvec_##type##_ring, MatVec, MATVEC_THREADS, 1) { \
		if (async_copies) matvec<number, true>(a); \
	}
MATVEC(q4_0, Q4_0)
MATVEC(q4_1, Q4_1)
MATVEC(q5_0, Q5_0)
MATVEC(q5_1, Q5_1)
MATVEC(q8_0, Q8_0)
MATVEC(q2_k, Q2_K)
MATVEC(q3_k, Q3_K)
MATVEC(q4_k, Q4_K)
MATVEC(q5_k, Q5_K)
MATVEC(q6_k, Q6_K)
MATVEC(iq4_nl, IQ4_NL)
MATVEC(iq4_xs, IQ4_XS)
MATVEC(mxfp4, MXFP4)
