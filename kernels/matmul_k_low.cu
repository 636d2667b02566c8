// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(Q2_K, q2_k)
MATMUL(Q3_K, q3_k)
