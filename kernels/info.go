package kernels

import "github.com/llcuda/llcuda/internal/cuda"

// ImageFor is the form of the kernels that a card would run, as Image says it
// of one that is open: "sm_75 machine code".
func ImageFor(i cuda.DeviceInfo) string { return (&Device{info: i}).Image() }
