// few_{type} of the types with superblocks; see few.cuh.
#include "few.cuh"

FEW(Q2_K, q2_k)
FEW(Q3_K, q3_k)
FEW(Q4_K, q4_k)
FEW(Q5_K, q5_k)
FEW(Q6_K, q6_k)
FEW(IQ4_XS, iq4_xs)
