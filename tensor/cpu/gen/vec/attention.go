package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func (s isa) attention() {
	for _, half := range []bool{false, true} {
		for _, rows := range []int{1, 2, 3, 4} {
			s.scores(rows, half)
			s.tile(rows, 1, half)
			s.tile(rows, 2, half)
			if s.lanes == 16 {
				s.tile(rows, 4, half)
			}
		}
	}
	if s.lanes == 16 {
		s.tile(8, 1, false)
		s.tile(8, 2, false)
	}
}

func kind(half bool) (typ, mark string, size int) {
	if half {
		return "uint16", "H", 2
	}
	return "float32", "", 4
}

// widen loads numbers of a cache.
func (s isa) widen(m Mem, half bool) VecVirtual {
	if half {
		return s.halves(m)
	}
	return s.load(m)
}

// tile: c (rows, vecs·lanes) = a·b or c + a·b, with a number of a in all lanes.
// The accumulators never leave their registers.
func (s isa) tile(rows, vecs int, half bool) {
	typ, mark, size := kind(half)
	s.routine(fmt.Sprintf("tile%dx%d%s", rows, vecs, mark),
		"c *float32, ldc int, a *float32, rowA, colA int, b *"+typ+", ldb, k int, add bool",
		fmt.Sprintf("is Gemm for %d rows and %d vectors of columns. Strides are in numbers.", rows, vecs))
	c, ldc, a, rowA, colA, b, ldb, k := ptr("c"), ptr("ldc"), ptr("a"), ptr("rowA"), ptr("colA"), ptr("b"), ptr("ldb"), ptr("k")
	for _, r := range []Register{ldc, rowA, colA} {
		SHLQ(Imm(2), r)
	}
	if half {
		SHLQ(Imm(1), ldb)
	} else {
		SHLQ(Imm(2), ldb)
	}
	// Row r of a is base[r/4] + r%4 · rowA.
	bases := []GPVirtual{a}
	row3 := GP64()
	LEAQ(Mem{Base: rowA, Index: rowA, Scale: 2}, row3)
	if rows > 4 {
		more := GP64()
		LEAQ(Mem{Base: a, Index: rowA, Scale: 4}, more)
		bases = append(bases, more)
	}
	cell := func(r int) Mem {
		switch base := bases[r/4]; r % 4 {
		case 1:
			return Mem{Base: base, Index: rowA, Scale: 1}
		case 2:
			return Mem{Base: base, Index: rowA, Scale: 2}
		case 3:
			return Mem{Base: base, Index: row3, Scale: 1}
		default:
			return at(base, 0)
		}
	}
	acc := make([]VecVirtual, rows*vecs)
	for i := range acc {
		acc[i] = s.zero()
	}
	loop("k", k, 1, func() {
		var bs []VecVirtual
		for v := range vecs {
			bs = append(bs, s.widen(at(b, v*s.lanes*size), half))
		}
		for r := range rows {
			f := s.broadcast(cell(r))
			for v := range vecs {
				VFMADD231PS(bs[v], f, acc[r*vecs+v])
			}
		}
		for _, base := range bases {
			ADDQ(colA, base)
		}
		ADDQ(ldb, b)
	})
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("store"))
	p := GP64()
	each := func(f func(m Mem, v VecVirtual)) {
		MOVQ(c, p)
		for r := range rows {
			for v := range vecs {
				f(at(p, v*s.bytes()), acc[r*vecs+v])
			}
			ADDQ(ldc, p)
		}
	}
	each(func(m Mem, v VecVirtual) { VADDPS(m, v, v) })
	Label("store")
	each(func(m Mem, v VecVirtual) { VMOVUPS(v, m) })
	VZEROUPPER()
	RET()
}

// scores: products of each key with some rows of q. A key is read once.
func (s isa) scores(rows int, half bool) {
	typ, mark, size := kind(half)
	s.routine(fmt.Sprintf("scores%d%s", rows, mark),
		"dst *float32, ldd int, q *float32, dim int, k *"+typ+", ldk, keys int",
		fmt.Sprintf("is Scores for %d heads.", rows))
	dst, ldd, q, dim, k, ldk, keys := ptr("dst"), ptr("ldd"), ptr("q"), ptr("dim"), ptr("k"), ptr("ldk"), ptr("keys")
	shift := uint64(2)
	if half {
		shift = 1
	}
	SHLQ(Imm(shift), ldk)
	SHLQ(Imm(2), ldd)
	loop("key", keys, 1, func() {
		acc := make([]VecVirtual, rows)
		for i := range acc {
			acc[i] = s.zero()
		}
		at0, from, left := GP64(), GP64(), GP64()
		MOVQ(q, at0)
		MOVQ(k, from)
		MOVQ(dim, left)
		row := GP64()
		loop("dim", left, s.lanes, func() {
			x := s.widen(at(from, 0), half)
			MOVQ(at0, row)
			for i := range acc {
				VFMADD231PS(at(row, 0), x, acc[i])
				if i+1 < rows {
					LEAQ(Mem{Base: row, Index: dim, Scale: 4}, row)
				}
			}
			ADDQ(I32(s.bytes()), at0)
			ADDQ(I32(s.lanes*size), from)
		})
		MOVQ(dst, row)
		for i := range acc {
			VMOVSS(s.fold(acc[i], addPS), at(row, 0))
			if i+1 < rows {
				ADDQ(ldd, row)
			}
		}
		ADDQ(Imm(4), dst)
		ADDQ(ldk, k)
	})
	VZEROUPPER()
	RET()
}
