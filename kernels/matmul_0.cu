// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(Q4_0, q4_0)
MATMUL(Q5_0, q5_0)
MATMUL(Q8_0, q8_0)
