package simd

// A tile is tileRows rows of weights as words, for products with many rows of
// activations: the bound is arithmetic, so a tile is unpacked once and used by
// all of them. The layout is that of gen/tile.go.
const (
	tileRows   = 16
	tileRecord = 1152 // bytes for 32 columns
	tileScales = 1024 // where the scales lie in a record
	tileWords  = 1024 // bytes of words for 32 columns before they are transposed

	tileGroups = 16 // 32 columns each, in one pass: 18 KiB of tile beside the activations in the first cache
	tileBand   = 4  // tiles that share activations while those are in the first cache
	tileFrom   = 6  // rows of activations from which unpacking pays
)

// tiled says whether products with n rows of activations use tiles.
func (k *Kernel) tiled(n int) bool { return k.form == FormInt && n >= tileFrom }

// tileScratch: the words of one tile, a band of tiles, and the product with a
// tile that is cut.
func (k *Kernel) tileScratch(n, _ int) int {
	return tileGroups*(tileWords+tileBand*tileRecord) + 4*n*tileRows
}

// mulTiled goes over the weights band by band, over a band pass by pass.
func (k *Kernel) mulTiled(a *args) {
	const pass = tileGroups * tileRecord
	words, band, cut := a.scratch[:tileGroups*tileWords], a.scratch[tileGroups*tileWords:], a.scratch[tileGroups*(tileWords+tileBand*tileRecord):]
	xrow, groups := FormInt.rowBytes(a.cols), a.cols/32
	last := floatsOf(cut, a.n*tileRows)
	for j := 0; j < a.rows; j += tileBand * tileRows {
		rows := min(tileBand*tileRows, a.rows-j)
		for g := 0; g < groups; g += tileGroups {
			width := min(tileGroups, groups-g)
			for t := 0; t < rows; t += tileRows {
				k.unpack(band[t/tileRows*pass:], words, a, j+t, min(tileRows, rows-t), g, width)
			}
			x := a.x[64*g:]
			scales := 64*groups + 8*g - 64*g
			i := 0
			for _, f := range k.gemm() {
				for ; i+f.n <= a.n; i += f.n {
					for t := 0; t < rows; t += tileRows {
						dst, ldd := a.dst[i*a.ldd+j+t:], a.ldd
						if rows-t < tileRows {
							dst, ldd = last[i*tileRows:], tileRows
						}
						f.do(&dst[0], 4*ldd, &band[t/tileRows*pass], width, &x[i*xrow], scales, xrow, g)
					}
				}
			}
		}
		if c := rows % tileRows; c > 0 {
			for i := range a.n {
				copy(a.dst[i*a.ldd+j+rows-c:], last[i*tileRows:i*tileRows+c])
			}
		}
	}
}

// unpack makes one tile of rows weights from row j on, and of width groups of
// columns from group g on. Rows that are missing repeat the last one.
func (k *Kernel) unpack(tile, words []byte, a *args, j, rows, g, width int) {
	per := k.dtype.BlockLen() / 32
	first := g / per * k.dtype.BlockBytes()
	for r := range tileRows {
		w := a.w[(j+min(r, rows-1))*a.row:][first:]
		k.ints.unpack(&words[64*r], &tile[tileScales+4*r], &w[0], width/per)
	}
	k.set.transpose(&tile[0], &words[0], width, tileRecord)
}

func (k *Kernel) gemm() []columns[gemmFunc] {
	if k.ints.mins {
		return k.set.gemmMin
	}
	return k.set.gemm
}
