package conformance

import (
	"fmt"

	"github.com/llcuda/llcuda/tensor"
)

func rows() []Case {
	var all []Case
	for _, d := range tensor.DTypes() {
		for _, ids := range [][]int{{3}, {0, 6, 6, 2, 1, 5}} {
			all = append(all, Case{"rows", fmt.Sprintf("%d of %s", len(ids), d), 1e-12, func(e *env) (got, want []float64) {
				const cols = 512
				table, out := e.weight(d, 7, cols), e.empty(tensor.F32, len(ids), cols)
				e.s.Rows(out, table.Tensor, e.ids(ids...))
				for _, id := range ids {
					want = append(want, table.x[id*cols:][:cols]...)
				}
				return e.read(out), rounded(tensor.F32, want)
			}})
		}
	}
	return all
}
