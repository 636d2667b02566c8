// Tiles of matmul.cuh for f16, and a larger one for large products on cards
// with the shared memory for it: 128×128 tiles read 1 byte for 64 operations,
// 7 TB/s at 450 TFLOP/s, more than a Hopper's L2 gives; 256×128 reads 5.3.
#include "matmul.cuh"

MATMUL(F16, f16)
KERNEL(matmul_f16_256, MatMulArgs, 256, 1) { matmul_tile<F16, 256, 128, 64, 64>(a); }
