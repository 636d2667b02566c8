// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(Q4_1, q4_1)
MATMUL(Q5_1, q5_1)
