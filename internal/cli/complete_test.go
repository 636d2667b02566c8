package cli

import (
	"slices"
	"strings"
	"testing"
)

// TestCompleteTypes: the shell completes types where an option wants one.
func TestCompleteTypes(t *testing.T) {
	for _, c := range []struct {
		line string // the last word is the one to complete
		want []string
	}{
		{"quantize in out.gguf --type q4_k", []string{"q4_k_m", "q4_k_s"}},
		{"quantize in out.gguf --type=q3_k", []string{"q3_k_l", "q3_k_m", "q3_k_s"}},
		{"export in out.gguf --type iq", []string{"iq4_nl", "iq4_xs"}},
		{"bench demo --ops --type q4_", []string{"q4_0", "q4_1", "q4_k"}},
		{"bench demo --ops --type q8_0,q5_", []string{"q8_0,q5_0", "q8_0,q5_1", "q8_0,q5_k"}},
		{"bench demo --quantize q6", []string{"q6_k"}},
		{"infer demo --quantize q8", []string{"q8_0"}},
		{"infer demo --cache-type ", []string{"bf16", "f16", "f32", "q8_0"}},
		{"serve demo --cache-type q", []string{"q8_0"}},
		{"chat demo --cache-type b", []string{"bf16"}},
		{"quantize in out.gguf --type nothing", nil},
	} {
		out := output(t, "", append([]string{"__complete"}, strings.Split(c.line, " ")...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		got, directive := lines[:len(lines)-1], lines[len(lines)-1]
		slices.Sort(got)
		if !slices.Equal(got, c.want) || directive != ":4" { // no files
			t.Errorf("%s: got %q %s, want %q :4", c.line, got, directive, c.want)
		}
	}
}
