package kernels

import (
	"testing"

	"github.com/llcuda/llcuda/tensor/conformance"
)

// TestConformance holds every operation to its float64 twin, with the kernels
// compiled for the host.
func TestConformance(t *testing.T) {
	conformance.Run(t, emulated(t))
}
