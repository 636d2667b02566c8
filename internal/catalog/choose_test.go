package catalog

import (
	"strings"
	"testing"
)

// TestChoose: sizes are those of Llama-3.1-8B, Qwen2.5-14B and Gemma-3-1B as
// bartowski publishes them, memory that of common machines.
func TestChoose(t *testing.T) {
	sized := func(gb map[string]float64) (all []Model) {
		for _, q := range []string{"BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"} {
			if gb[q] > 0 {
				all = append(all, Model{Name: "m-" + q, Quant: q, Size: int64(gb[q] * 1e9)})
			}
		}
		return all
	}
	llama8 := sized(map[string]float64{"Q8_0": 8.54, "Q6_K": 6.60, "Q5_K_M": 5.73, "Q4_K_M": 4.92, "Q3_K_M": 4.02, "Q2_K": 3.18})
	qwen14 := sized(map[string]float64{"Q8_0": 15.7, "Q6_K": 12.1, "Q5_K_M": 10.5, "Q4_K_M": 8.99, "Q3_K_M": 7.34, "Q2_K": 5.77})
	gemma1 := sized(map[string]float64{"BF16": 2.01, "Q8_0": 1.07, "Q6_K": 1.01, "Q4_K_M": 0.81})
	card := func(gb, host float64) Room { return Room{"cuda:0", int64(gb * 1e9), int64(host * 1e9)} }
	for _, c := range []struct {
		name    string
		entry   string
		all     []Model
		room    Room
		context int
		want    string
		says    string
	}{
		{"1B on a T4", "gemma-3-1b", gemma1, card(15.6, 12), 0, "Q8_0", "free on cuda:0"},
		{"8B on a T4", "llama-3.1-8b", llama8, card(15.6, 12), 0, "Q4_K_M", "takes 5.7 GB of 15.6 GB free on cuda:0"},
		{"8B on an H100", "llama-3.1-8b", llama8, card(80, 100), 0, "Q8_0", ""},
		{"14B on a T4", "qwen2.5-14b", qwen14, card(15.6, 12), 0, "Q4_K_M", ""},
		{"14B on a T4, long", "qwen2.5-14b", qwen14, card(15.6, 0), 32768, "Q3_K_M", ""},
		{"14B on 8 GB and the host", "qwen2.5-14b", qwen14, card(7.5, 12), 0, "Q4_K_M", "the other layers go to the CPU"},
		{"14B on 8 GB alone", "qwen2.5-14b", qwen14, Room{"cpu", 7.5e9, 0}, 0, "Q2_K", ""},
		{"14B on 4 GB alone", "qwen2.5-14b", qwen14, Room{"cpu", 4e9, 0}, 0, "", "its smallest form, Q2_K, takes 6.8 GB with cache and scratch, and cpu has 4.0 GB free"},
		{"1B on 2 GB", "gemma-3-1b", gemma1, Room{"cpu", 2e9, 0}, 0, "Q4_K_M", ""},
		{"memory unknown", "gemma-3-1b", gemma1, Room{}, 0, "Q4_K_M", "the usual one"},
		{"no entry", "", gemma1, Room{"cpu", 2e9, 0}, 0, "Q4_K_M", "m:QUANT takes another"},
		{"only BF16 and Q8_0", "gemma-3-1b", gemma1[:2], Room{"cpu", 2.5e9, 0}, 0, "Q8_0", ""},
	} {
		var e *Entry
		if c.entry != "" {
			e, _ = lookup(c.entry)
		}
		q := &Query{Name: "m", Context: c.context, Room: func() Room { return c.room }}
		i, why, err := choose(q, e, c.all)
		switch {
		case c.want == "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		case c.want != "" && (err != nil || c.all[i].Quant != c.want || !strings.Contains(why, c.says)):
			t.Errorf("%s: %v %q %v, want %s and %q", c.name, c.all[i].Quant, why, err, c.want, c.says)
		}
	}
}
