// Command gen writes the assembly of package simd with avo; go generate in the
// folder above runs it. It is a module of its own: nothing that only makes
// code is a dependency of the program.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	part := flag.String("part", "", "ints, tiles or floats")
	flag.Parse()
	switch *part {
	case "ints":
		quantise()
		quantiseBytes()
		for _, f := range formats {
			for _, vnni := range []bool{false, true} {
				for _, n := range []int{1, 2, 4} {
					dot(f, n, vnni)
				}
			}
		}
		for i := range wholes {
			dotBytes(i)
		}
	case "tiles":
		for _, f := range formats {
			unpack(f)
		}
		transpose()
		prefetch()
		for _, mins := range []bool{false, true} {
			for _, n := range []int{1, 2, 4} {
				gemmAVX2(n, mins)
			}
			for _, n := range []int{1, 2, 4, 8, 12} {
				gemmAVX512(n, mins)
			}
		}
	case "floats":
		for _, p := range plains {
			convert(p)
			for _, n := range []int{1, 2, 4} {
				dotPlain(p, n)
			}
		}
		for _, n := range []int{1, 2, 4, 6} {
			gemmFloat("AVX2", n, 8)
		}
		for _, n := range []int{1, 2, 4, 8, 12} {
			gemmFloat("AVX512", n, 16)
		}
	default:
		log.Fatalf("gen: unknown part %q", *part)
	}
	Generate()
}
