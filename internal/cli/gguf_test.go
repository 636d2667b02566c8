package cli

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

// TestDescribe: every value that a file may hold can be printed as JSON.
func TestDescribe(t *testing.T) {
	var file, out bytes.Buffer
	w := gguf.NewWriter(&file)
	w.Add("bytes", []uint8{1, 200})
	w.Add("nan", float32(math.NaN()))
	w.Add("scores", []float32{0.5, float32(math.Inf(-1))})
	w.Add("wide", []float64{math.Inf(1), 0.25})
	w.Add("list", []int16{-1})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := encodeJSON(&out, describe(f)); err != nil {
		t.Fatal(err)
	}
	const want = `"metadata":{"bytes":[1,200],"list":[-1],"nan":"NaN","scores":[0.5,"-Inf"],"wide":["+Inf",0.25]}`
	if !strings.Contains(out.String(), want) {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}
