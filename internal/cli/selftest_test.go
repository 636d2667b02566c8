package cli

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/conformance"
	"github.com/llcuda/llcuda/tensor/cpu"
)

func TestSelftest(t *testing.T) {
	type result struct {
		Device string
		Rows   []selftestRow
	}
	got := outputJSON[[]result](t, "selftest", "--device", "cpu", "--op", "top_k,convert", "--json")
	if len(got) != 1 || got[0].Device != "cpu" {
		t.Fatalf("%+v, want one device", got)
	}
	want, rows := 0, map[string]bool{}
	for _, c := range conformance.Cases() {
		if c.Op == "top_k" || c.Op == "convert" {
			want++
			rows[c.Op+c.Type()] = true
		}
	}
	cases := 0
	for _, r := range got[0].Rows {
		cases += r.Cases
		if len(r.Failed) > 0 || r.Lacking > 0 || r.Worst > r.Bound {
			t.Errorf("%+v", r)
		}
	}
	if cases != want || len(got[0].Rows) != len(rows) {
		t.Errorf("%d cases in %d rows, want %d in %d", cases, len(got[0].Rows), want, len(rows))
	}
	if _, _, err := command(t, "", "selftest", "--op", "matmal"); err == nil || !strings.Contains(err.Error(), "matmul") {
		t.Errorf("%v, want a refusal that names what there is", err)
	}
}

// A wrong device computes another function than it should, and lacks one.
type wrong struct {
	tensor.Device
	factor float32
}

func (w wrong) Do(op *tensor.Op) error {
	switch op.Kind {
	case tensor.OpScale:
		op.Scale *= w.factor
	case tensor.OpFill:
		return tensor.ErrUnsupported
	}
	return w.Device.Do(op)
}

func (w wrong) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	t, err := w.Device.New(d, shape...)
	if err == nil {
		t.Device = w
	}
	return t, err
}

func TestSelftestFails(t *testing.T) {
	cases, err := selectCases([]string{"scale", "fill", "transpose"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = selftest(t.Context(), &out, []tensor.Device{wrong{cpu.Default(), 1.01}}, cases, false)
	if err == nil || !strings.Contains(err.Error(), "cases failed") {
		t.Errorf("%v, want a failure", err)
	}
	for _, want := range []string{"FAIL (", "FAIL scale ", "not on this device", "transpose  i8"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	err = selftest(t.Context(), &out, []tensor.Device{wrong{cpu.Default(), float32(math.NaN())}}, cases, true)
	if err == nil || !strings.Contains(err.Error(), "cases failed") || !json.Valid([]byte(out.String())) {
		t.Errorf("numbers that are none: %v\n%s", err, out.String())
	}
}
