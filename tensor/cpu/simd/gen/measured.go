package main

import "fmt"

// Speeds measured with BenchmarkVector and BenchmarkMatrix's loops on 256 KiB
// of weights with 2048 columns, in the second cache: AMD EPYC (Zen 4), one
// thread, 2026-11-23, machine shared with others, best of 400. From memory one
// thread streams 16 GB/s there and two 23: products with one row of activations
// are bound by that.
var measured = map[string]struct{ one, four [2]float64 }{ // GB/s of weights, GOP/s; AVX2, VNNI
	"Q40":      {[2]float64{14.8, 15.6}, [2]float64{86, 93}},
	"Q41":      {[2]float64{16.5, 17.1}, [2]float64{80, 87}},
	"Q50":      {[2]float64{11.3, 13.6}, [2]float64{65, 82}},
	"Q51":      {[2]float64{12.0, 14.2}, [2]float64{60, 72}},
	"Q80":      {[2]float64{32.7, 32.8}, [2]float64{97, 101}},
	"IQ4NL":    {[2]float64{14.1, 14.8}, [2]float64{81, 87}},
	"IQ4XS":    {[2]float64{12.3, 12.8}, [2]float64{73, 75}},
	"Q3K":      {[2]float64{8.0, 8.7}, [2]float64{75, 80}},
	"Q4KBytes": {one: [2]float64{1: 20.6}},
	"Q5KBytes": {one: [2]float64{1: 22.1}},
	"Q6KBytes": {one: [2]float64{1: 22.6}},
	"Q4K":      {[2]float64{16.5, 17.6}, [2]float64{93, 94}},
	"Q5K":      {[2]float64{15.2, 15.8}, [2]float64{81, 84}},
	"Q6K":      {[2]float64{15.8, 17.7}, [2]float64{75, 82}},
	"F16":      {[2]float64{50, 50}, [2]float64{58, 58}},
	"BF16":     {[2]float64{50, 50}, [2]float64{58, 58}},
}

const machine = "one thread of EPYC (Zen 4), weights in cache, 2026-11-23"

// dotSpeed is a line of documentation for dot routines.
func dotSpeed(format string, n int, vnni bool) []string {
	m, ok := measured[format]
	i := 0
	if vnni {
		i = 1
	}
	switch {
	case ok && n == 1:
		return []string{fmt.Sprintf("Measured: %.1f GB/s of weights; %s.", m.one[i], machine)}
	case ok && n == 4:
		return []string{fmt.Sprintf("Measured: %.0f GOP/s; %s.", m.four[i], machine)}
	}
	return nil
}

// gemmSpeed is one for the widest products with tiles, 128 rows of activations.
func gemmSpeed(name string) []string {
	gops, ok := map[string]int{"gemmAVX2x4": 141, "gemmMinAVX2x4": 135, "gemmAVX512x12": 188, "gemmMinAVX512x12": 180,
		"gemmFloatAVX2x6": 93, "gemmFloatAVX512x12": 96}[name]
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("Measured: %d GOP/s with 128 rows x, unpacking included; %s.", gops, machine)}
}
