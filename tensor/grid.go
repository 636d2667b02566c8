package tensor

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
	"sync"
)

// The iq1, iq2 and iq3 formats store positions in a code book whose entries
// are 8 (iq3: 4) small numbers.

// gridBytes are the books one after the other, made by make_grids.py: the
// numbers of an entry as 2-bit (iq3: 4-bit) positions in a list of levels, low
// bits first.
//
//go:embed grids.bin
var gridBytes []byte

type grids struct {
	iq2xxs [256][8]float32
	iq2xs  [512][8]float32
	iq2s   [1024][8]float32
	iq3xxs [256][4]float32
	iq3s   [512][4]float32
	iq1s   [2048][8]float32
}

// books unpacks the code books when a format first needs them.
var books = sync.OnceValue(func() *grids {
	b := new(grids)
	in := gridBytes
	two := []float32{8, 25, 43}
	in = unpackGrid(b.iq2xxs[:], in, two)
	in = unpackGrid(b.iq2xs[:], in, two)
	in = unpackGrid(b.iq2s[:], in, two)
	in = unpackGrid4(b.iq3xxs[:], in, []float32{4, 12, 20, 28, 36, 44, 52, 62})
	in = unpackGrid4(b.iq3s[:], in, []float32{1, 3, 5, 7, 9, 11, 13, 15})
	unpackGrid(b.iq1s[:], in, []float32{-1, 0, 1})
	return b
})

func unpackGrid(book [][8]float32, in []byte, levels []float32) (rest []byte) {
	for i := range book {
		e := binary.LittleEndian.Uint16(in[2*i:])
		for k := range 8 {
			book[i][k] = levels[e>>(2*k)&3]
		}
	}
	return in[2*len(book):]
}

func unpackGrid4(book [][4]float32, in []byte, levels []float32) (rest []byte) {
	for i := range book {
		e := binary.LittleEndian.Uint16(in[2*i:])
		for k := range 4 {
			book[i][k] = levels[e>>(4*k)&15]
		}
	}
	return in[2*len(book):]
}

// evenSigns makes the signs of 8 numbers of the first 7: their product is +.
func evenSigns(s uint32) byte {
	s &= 127
	return byte(s) | byte(bits.OnesCount32(s))<<7
}

// signed writes d·entry with the signs of 8 or 4 numbers, low bit first.
func signed(dst, entry []float32, d float32, signs byte) {
	dst = dst[:len(entry)]
	for i, v := range entry {
		v *= d
		if signs>>i&1 != 0 {
			v = -v
		}
		dst[i] = v
	}
}
