// Shapes of dense.cuh's tiles. dense_w is by wgmma where there is one.
#define HOPPER
#include "dense.cuh"

KERNEL(dense_a, DenseArgs, 256, 1) { dense_tile<256, 128, 64, 64, 64, 4>(a); }
KERNEL(dense_b, DenseArgs, 256, 1) { dense_tile<256, 128, 64, 64, 32, 6>(a); }
KERNEL(dense_c, DenseArgs, 128, 2) { dense_tile<128, 128, 64, 64, 64, 3>(a); }
KERNEL(dense_w, DenseArgs, 256, 1) {
	if (wgmma_there) hopper_tile<128>(a);
	else dense_tile<128, 256, 64, 64, 64, 3>(a);
}
KERNEL(dense_v, DenseArgs, 384, 1) {
	if (wgmma_there) hopper_tile<192>(a);
}
