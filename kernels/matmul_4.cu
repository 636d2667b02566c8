// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(IQ4_NL, iq4_nl)
MATMUL(IQ4_XS, iq4_xs)
MATMUL(MXFP4, mxfp4)
