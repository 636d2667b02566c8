// Mistakes that only the numbers show: a token id outside its table, a
// negative position. A kernel reports the first one to a word of the host's
// memory and goes on with numbers that do no harm; the device's next Sync,
// Read or Write returns the error (fault.go).
#pragma once
#include "cuda.cuh"

const uint32_t FAULT_ROW = 1;      // value: the id
const uint32_t FAULT_POSITION = 2; // value: the position
const uint32_t FAULT_DIVIDE = 3;   // of integers by zero
const uint32_t FAULT_POWER = 4;    // value: the negative power of an integer
const uint32_t FAULT_SEQUENCE = 5; // value: the sequence

// report writes code and value as one 8-byte word to `fault`, pinned memory of
// the host, unless an earlier launch has. Of many in one launch one remains.
DEVICE void report(uint64_t fault, uint32_t code, int32_t value) {
	volatile uint64_t *word = (volatile uint64_t *)fault;
	if (*word == 0) *word = (uint64_t)(uint32_t)value << 32 | code;
}
