package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// fewCases are products of one input, m rows of weights each.
var fewCases = []struct {
	types []tensor.DType
	m     []int
	k     int
}{
	{[]tensor.DType{tensor.Q4_K, tensor.Q4_K, tensor.Q6_K}, []int{160, 33, 70}, 1024},
	{[]tensor.DType{tensor.Q5_0, tensor.Q8_0}, []int{100, 64}, 352},
	{[]tensor.DType{tensor.Q4_0, tensor.Q4_1, tensor.Q5_1}, []int{17, 130, 1}, 480},
	{[]tensor.DType{tensor.Q2_K, tensor.Q3_K, tensor.Q5_K}, []int{64, 80, 16}, 768},
	{[]tensor.DType{tensor.IQ4_NL, tensor.MXFP4, tensor.IQ4_XS}, []int{40, 40, 40}, 512},
	{[]tensor.DType{tensor.NF4, tensor.FP4, tensor.LLM_INT8}, []int{48, 65, 20}, 448},
}

// TestFewParts: products of one input together, in one launch, on cards with and
// without a ring, and with Hopper's warpgroup products. They are those of float64, and
// a row's are the same in each bit with however many others it comes.
func TestFewParts(t *testing.T) {
	for _, capability := range []string{"7.5", "8.0", "9.0"} {
		t.Setenv("EMU_CC", capability)
		d := emulated(t)
		for _, c := range fewCases {
			for _, most := range []int{fewRows, someRows} {
				t.Run(fmt.Sprintf("%s,%v,%d rows", capability, c.types, most), func(t *testing.T) {
					r := rand.New(rand.NewPCG(1, 2))
					x, xn := random(t, d, r, tensor.F32, 1, true, most, c.k)
					defer d.Free(x)
					var weights []*tensor.Tensor
					var numbers [][]float32
					for i, dt := range c.types {
						w, wn := random(t, d, r, dt, 1, false, c.m[i], c.k)
						defer d.Free(w)
						weights, numbers = append(weights, w), append(numbers, wn)
					}
					all := productsOf(t, d, weights, x, most, nil)
					for i, got := range all {
						diff, square := 0.0, 0.0
						for at, y := range got {
							want := 0.0
							for l := range c.k {
								want += float64(numbers[i][at%c.m[i]*c.k+l]) * float64(xn[at/c.m[i]*c.k+l])
							}
							diff, square = diff+(float64(y)-want)*(float64(y)-want), square+want*want
						}
						if e := diff / square; !(e < 1e-6) {
							t.Errorf("%s: error %.2g, want less than 1e-6", c.types[i], e)
						}
					}
					for _, rows := range []int{1, most/2 + 1} {
						for i, got := range productsOf(t, d, weights, x.Slice(most-rows, most), most, nil) {
							want := all[i][(most-rows)*c.m[i]:]
							if !bytes.Equal(asBytes(got), asBytes(want)) {
								t.Errorf("%s: the last %d rows alone differ from them with others", c.types[i], rows)
							}
						}
					}
				})
			}
		}
	}
}

// TestFewShapes: however columns are cut, blocks dealt and units shared, results are those of
// float64.
func TestFewShapes(t *testing.T) {
	const m, k = 300, 1280
	types := []tensor.DType{tensor.Q4_K, tensor.Q6_K, tensor.Q5_0}
	for _, capability := range []string{"7.5", "8.0", "9.0"} {
		t.Setenv("EMU_CC", capability)
		d := emulated(t)
		for _, most := range []int{fewRows, someRows} {
			r := rand.New(rand.NewPCG(1, 2))
			x, xn := random(t, d, r, tensor.F32, 1, true, most, k)
			var weights []*tensor.Tensor
			var want [][]float64
			for _, dt := range types {
				w, wn := random(t, d, r, dt, 1, false, m, k)
				y := make([]float64, most*m)
				for at := range y {
					for l := range k {
						y[at] += float64(wn[at%m*k+l]) * float64(xn[at/m*k+l])
					}
				}
				weights, want = append(weights, w), append(want, y)
			}
			for splits := 1; splits <= 5; splits++ {
				for share := range 3 {
					for _, blocks := range [][3]int32{{1, 1, 1}, {2, 1, 3}, {5, 4, 5}} {
						all := productsOf(t, d, weights, x, most, func(parts []fewPart) fewShape {
							s, ok := d.fewCut(parts, k, most, splits, share)
							if !ok || 1<<share > int(s.each) {
								return d.fewShape(parts, k, most)
							}
							s.blocks = 0
							for i, b := range blocks {
								s.part[i].blocks, s.part[i].share = b, int32(share)
								s.blocks += int(b)
							}
							return s
						})
						for i, got := range all {
							diff, square := 0.0, 0.0
							for at, y := range got {
								diff, square = diff+(float64(y)-want[i][at])*(float64(y)-want[i][at]), square+want[i][at]*want[i][at]
							}
							if e := diff / square; !(e < 1e-6) {
								t.Errorf("capability %s, %d rows of %s, %d splits, share %d, blocks %d: error %.2g, want less than 1e-6",
									capability, most, types[i], splits, share, blocks, e)
							}
						}
					}
				}
			}
			for _, w := range append(weights, x) {
				d.Free(w)
			}
		}
	}
}

func asBytes(x []float32) []byte {
	raw := make([]byte, 4*len(x))
	tensor.F32.Encode(raw, x)
	return raw
}

// productsOf are the products of x with all weights, in a shape if one is given.
func productsOf(t *testing.T, d *Device, weights []*tensor.Tensor, x *tensor.Tensor, most int, shape func([]fewPart) fewShape) (all [][]float32) {
	var ops []*tensor.Op
	for _, w := range weights {
		dst, err := d.New(tensor.F32, x.Rows(), w.Rows())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(dst)
		ops = append(ops, &tensor.Op{Kind: tensor.OpMatMul, Dst: dst, A: w, B: x})
	}
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	of, ok := d.fewWeights(ops)
	shapes := d.fewShapes(of, x.Cols(), most)
	if shape != nil {
		shapes = []fewShape{shape(of)}
	}
	made, err := d.fewIssue(shapes, x, most)
	if !ok || err != nil || len(made) < len(ops) {
		d.leave()
		t.Fatalf("taken: %v, %d results, %v", ok, len(made), err)
	}
	for i := range made {
		err = errors.Join(err, d.add(&made[i], ops[i].Dst))
	}
	d.leave()
	for _, op := range ops {
		raw, y := make([]byte, op.Dst.Bytes()), make([]float32, op.Dst.Len())
		if err = errors.Join(err, d.Read(raw, op.Dst)); err != nil {
			t.Fatal(err)
		}
		tensor.F32.Decode(y, raw)
		all = append(all, y)
	}
	return all
}
