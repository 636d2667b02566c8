// step_lora_all_{dim}_f16: one token through a model with adapters and weights of
// all types that are packed; see step.cuh and adapted.cuh.
//
// cold: step_lora_all_64_f16 24 bytes once a product: its number, in memory while it is computed
// cold: step_lora_all_128_f16 likewise
// cold: step_lora_all_256_f16 likewise
#define ADAPTED
#include "step.cuh"

STEP(step_lora_all, 64, f16, F16)
STEP(step_lora_all, 128, f16, F16)
STEP(step_lora_all, 256, f16, F16)
