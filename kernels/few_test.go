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
					all := productsOf(t, d, weights, x, most)
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
						for i, got := range productsOf(t, d, weights, x.Slice(most-rows, most), most) {
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

func asBytes(x []float32) []byte {
	raw := make([]byte, 4*len(x))
	tensor.F32.Encode(raw, x)
	return raw
}

// productsOf are the products of x with all weights.
func productsOf(t *testing.T, d *Device, weights []*tensor.Tensor, x *tensor.Tensor, most int) (all [][]float32) {
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
	made, ok, err := d.fewParts(ops, most)
	if !ok || err != nil {
		d.leave()
		t.Fatalf("taken: %v, %v", ok, err)
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
