package simd

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRegisters: routines for processors without AVX-512 use none of its
// registers. The generator would take them if it ran out of others, and a
// machine that has AVX-512 would not notice.
func TestRegisters(t *testing.T) {
	wide := regexp.MustCompile(`\b(Z[0-9]+|[XY](1[6-9]|2[0-9]|3[01])|K[0-7])\b`)
	routines := 0
	for _, file := range []string{"ints_amd64.s", "tiles_amd64.s", "floats_amd64.s"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for routine := range strings.SplitSeq(string(text), "\nTEXT ·") {
			name, body, _ := strings.Cut(routine, "(SB)")
			if strings.HasPrefix(name, "//") || strings.Contains(name, "AVX512") || strings.Contains(name, "VNNI") {
				continue
			}
			routines++
			if r := wide.FindString(body); r != "" {
				t.Errorf("%s uses %s", name, r)
			}
		}
	}
	if routines < 50 {
		t.Errorf("looked at %d routines", routines)
	}
}
