// few_{8,32}_{type}: products of up to 8 or 32 rows; see few.cuh.
#include "few.cuh"

FEW(Q4_0, q4_0)
FEW(Q4_1, q4_1)
FEW(Q5_0, q5_0)
FEW(Q5_1, q5_1)
FEW(Q8_0, q8_0)
FEW(IQ4_NL, iq4_nl)
FEW(MXFP4, mxfp4)
