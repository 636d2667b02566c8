package simd

import "github.com/llcuda/llcuda/tensor"

// A tile is 16 rows of weights made ready for products with many rows of
// activations: the bound is arithmetic, so a tile is unpacked once and used by
// all of them. It consists of records, one for each group of columns that 64
// bytes of activations stand for. A record holds 16 dwords (two words, or one
// float32) for each row, dword by dword, and then for words the 16 scales and
// the 16 mins.
const (
	tileRows   = 16
	tileRecord = 1152 // bytes at most
	tileScales = 1024 // where the scales lie in a record
	tileDwords = 1024 // bytes of a group

	tileGroups = 16 // in one pass: 18 KiB of tile beside the activations in the first cache
	tileBand   = 4  // tiles that share activations while those are in the first cache

	// Rows of activations from which unpacking pays.
	tileFrom      = 6
	tileFromPlain = 24
)

// A tileKind is which routine multiplies with a tile.
type tileKind uint8

const (
	tileFloats tileKind = iota
	tileInts            // weight = scale·q
	tileMins            // scale·q + min
)

func (t tileKind) recordBytes() int {
	if t == tileFloats {
		return tileDwords
	}
	return tileRecord
}

// tiled says whether products with n rows of activations use tiles.
func (k *Kernel) tiled(n int) bool {
	if k.alike != tensor.Apart {
		return k.alike == tensor.AlikeMany && k.set.gemm[k.tile] != nil
	}
	if k.convert != nil {
		return n >= tileFromPlain
	}
	return n >= tileFrom && k.set.gemm[k.tile] != nil
}

// tileScratch: a band of tiles, the dwords of one tile before they are
// transposed, one row of float32, and the product with a tile that is cut.
func (k *Kernel) tileScratch(n int) int {
	return tileGroups*(tileBand*tileRecord+tileDwords+64) + 4*n*tileRows
}

// tileArgs are the parts of the scratch memory.
type tileArgs struct {
	args
	band, dwords []byte
	row          []float32
	cut          []float32 // (n, tileRows)
}

// mulTiled goes over the weights band by band, over a band pass by pass.
func (k *Kernel) mulTiled(a *args) {
	const pass = tileGroups * tileRecord
	t := tileArgs{args: *a, band: a.scratch[:tileBand*pass]}
	t.dwords = a.scratch[len(t.band):][:tileGroups*tileDwords]
	t.row = floatsOf(a.scratch[len(t.band)+len(t.dwords):], tileGroups*16)
	t.cut = floatsOf(a.scratch[len(t.band)+len(t.dwords)+tileGroups*64:], a.n*tileRows)

	xrow, groups := k.form.rowBytes(a.cols), (a.cols+k.form.groupCols()-1)/k.form.groupCols()
	for j := 0; j < a.rows; j += tileBand * tileRows {
		rows := min(tileBand*tileRows, a.rows-j)
		for g := 0; g < groups; g += tileGroups {
			width := min(tileGroups, groups-g)
			for r := 0; r < rows; r += tileRows {
				k.fill(&t, t.band[r/tileRows*pass:], j+r, min(tileRows, rows-r), g, width)
			}
			scales := 64*groups + 8*g - 64*g // behind the words of group g
			i := 0
			for _, f := range k.set.gemm[k.tile] {
				for ; i+f.n <= a.n; i += f.n {
					for r := 0; r < rows; r += tileRows {
						dst, ldd := a.dst[i*a.ldd+j+r:], a.ldd
						if rows-r < tileRows {
							dst, ldd = t.cut[i*tileRows:], tileRows
						}
						f.do(&dst[0], 4*ldd, &t.band[r/tileRows*pass], width, &a.x[i*xrow+64*g], scales, xrow, g)
					}
				}
			}
		}
		if c := rows % tileRows; c > 0 {
			for i := range a.n {
				copy(a.dst[i*a.ldd+j+rows-c:], t.cut[i*tileRows:i*tileRows+c])
			}
		}
	}
}

// fill makes a tile of rows weights from row j on, and of width groups of
// columns from group g on. Rows that are missing repeat the last one.
func (k *Kernel) fill(t *tileArgs, tile []byte, j, rows, g, width int) {
	piece := k.dtype.Bytes(min(width*k.form.groupCols(), t.cols-g*k.form.groupCols()))
	for r := range tileRows {
		w := t.w[(j+min(r, rows-1))*t.args.row:][:t.args.row]
		k.ask(t, j+r, k.dtype.Bytes(g*k.form.groupCols())+piece)
		if k.form == FormInt {
			per := k.dtype.BlockLen() / 32
			k.unpack(&t.dwords[64*r], &tile[tileScales+4*r], &w[g/per*k.dtype.BlockBytes()], width/per)
			continue
		}
		row := t.row[:16*width]
		n := k.decode(row, w, 16*g, t.cols)
		clear(row[n:])
		for c := range width {
			copy(t.dwords[tileDwords*c+64*r:][:64], bytesOf(row[16*c:][:16]))
		}
	}
	k.set.transpose(&tile[0], &t.dwords[0], width, k.tile.recordBytes())
}

// ask prefetches what is wanted of row j, or of the row that takes its place
// in the next band, from byte at on: pieces of rows are too short for the
// processor to guess.
func (k *Kernel) ask(t *tileArgs, j, at int) {
	if at == t.args.row {
		j, at = j+tileBand*tileRows, 0
	}
	if j < t.rows {
		p := t.w[j*t.args.row+at : (j+1)*t.args.row]
		k.set.prefetch(&p[0], min(len(p), k.dtype.Bytes(tileGroups*k.form.groupCols())))
	}
}

// decode fills dst with columns of a row of weights from column c on, and says
// how many there were. c is a multiple of 256, which all blocks divide.
func (k *Kernel) decode(dst []float32, w []byte, c, cols int) int {
	n := min(len(dst), cols-c)
	w = w[k.dtype.Bytes(c):][:k.dtype.Bytes(n)]
	if k.convert != nil {
		k.convert(&dst[0], &w[0], n)
	} else {
		k.dtype.Decode(dst[:n], w)
	}
	return n
}
