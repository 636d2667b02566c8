// matvec: y (m) = W (m, k) · x (k), W packed (see format.cuh), x and y f32.
//
// Launch: one block of 512 threads an SM. Shared memory: the ring and the
// activations. Bound by reading W once; see product.cuh.
//
// measured, with the launch: q6_k 128256 × 4096 2,870 GB/s, q8_0 262144 × 1152
// 2,777, q4_k 14336 × 4096 2,041, of 3,090 that the card streams (H100,
// 2026-11-28). The large ones are bound by memory; of the others a launch and
// the input take 5 µs.
#include "product.cuh"

struct MatVec {
	Product product; // of one part
	int32_t ring;    // bytes before the ring: activations
	int32_t sums;    // bytes before the sums
	int32_t room;    // units that have sums at a time
	int32_t pad;
};

template <int TYPE, bool RING> DEVICE void matvec(const MatVec &a) {
	SHARED Product p;
	SHARED float sums[2 * MATVEC_WARPS];
	SHARED Best bests[MATVEC_WARPS];
	copy_words(&p, &a.product, sizeof(Product));
	Flow f = start_flow(a.ring, 0);
	__syncthreads();
	Loaded pending[2];
	fill<RING, TYPE>(f, pending, &p);
	Activations x = activations(dynamic_shared(), p.cols);
	float factor = prepare(p, x, sums);
	product<RING, TYPE>(&p, 0, f, pending, x, factor, (float *)(dynamic_shared() + a.sums), a.room, bests);
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
