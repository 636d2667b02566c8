package cpu

import (
	"testing"

	"github.com/llcuda/llcuda/tensor/conformance"
)

func TestConformance(t *testing.T) {
	dev := New(3)
	defer dev.Close()
	conformance.Run(t, dev)
}
