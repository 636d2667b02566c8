package expr

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// testdata/numpy_cases.py made these expressions and what NumPy gives.
func TestLikeNumPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/numpy.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Src, Expr string
		Shape     []int
		Int       bool
		Values    []float64
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) < 100 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		e := newTestEnv()
		r := &run{Env: e, ctx: context.Background()}
		if _, err := show(e, c.Src); err != nil {
			t.Fatalf("%s: %v", c.Src, err)
		}
		v, err := e.Eval(r.ctx, c.Expr)
		a, ok := v.(*Array)
		if err != nil || !ok {
			t.Errorf("%s%s: got %v, %v", c.Src, c.Expr, v, err)
			continue
		}
		if !slices.Equal(a.Shape(), c.Shape) || isInt(a.DType()) != c.Int {
			t.Errorf("%s%s: got %s, want shape %v, integers %v", c.Src, c.Expr, a, c.Shape, c.Int)
			continue
		}
		got, err := r.hostNumbers(a, tensor.F64)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.Values {
			if !(math.Abs(got.floats[i]-want) <= 1e-6*(1+math.Abs(want))) {
				t.Errorf("%s%s: number %d is %v, want %v", c.Src, c.Expr, i, got.floats[i], want)
				break
			}
		}
	}
}
