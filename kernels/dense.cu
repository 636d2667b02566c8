// Shapes of dense.cuh's tiles. dense_w is by wgmma where there is one.
//
// measured, f16 8192³ of normal numbers: dense_w 617 TFLOP/s, dense_b 463,
// dense_c 444, where cuBLAS makes 772 (H200, 2026-11-23). With weights of zeros
// 684, 485 and 492; tried there: 256×128×64 in four stages, 488, and 192×256 of
// three warpgroups, 679.
//
// cold: dense_c runs on no card of sm_75: they have no 96 KB of shared memory for it
#define HOPPER
#include "dense.cuh"

KERNEL(dense_b, DenseArgs, 256, 1) { dense_tile<256, 128, 64, 64, 32, 6>(a); }
KERNEL(dense_c, DenseArgs, 128, 2) { dense_tile<128, 128, 64, 64, 64, 3>(a); }
KERNEL(dense_w, DenseArgs, 256, 1) {
	if (wgmma_there) hopper_tile<128>(a);
	else dense_tile<128, 256, 64, 64, 64, 3>(a);
}
