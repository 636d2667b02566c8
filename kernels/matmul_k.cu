// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(Q4_K, q4_k)
MATMUL(Q5_K, q5_k)
MATMUL(Q6_K, q6_k)
