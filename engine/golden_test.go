package engine

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// A golden is a tiny model with the logits that it has to give, of the float64
// forward pass in testdata/make_golden.py.
type golden struct {
	file    *gguf.File
	ids     []int32
	logits  []float32 // (len(ids), vocab)
	context int
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	f, err := gguf.Open(filepath.Join("testdata", name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	g := golden{file: f}
	ids, err := f.Ints("golden.ids")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		g.ids = append(g.ids, int32(id))
	}
	v, _ := f.Value("golden.logits")
	g.logits = v.([]float32)
	n, err := f.Uint("golden.context")
	if err != nil {
		t.Fatal(err)
	}
	g.context = int(n)
	return g
}

func (g *golden) load(t testing.TB, o Options) *Model {
	t.Helper()
	if o.Context == 0 {
		o.Context = g.context
	}
	m, err := LoadFile(t.Context(), g.file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newSession(t testing.TB, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// off is the relative error of the logits after ids[pos] in root mean square.
func (g *golden) off(pos int, got []float32) float64 {
	var diff, sum float64
	for i, w := range g.logits[pos*len(got):][:len(got)] {
		diff += math.Pow(float64(got[i])-float64(w), 2)
		sum += math.Pow(float64(w), 2)
	}
	return math.Sqrt(diff / sum)
}

func goldenNames(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.gguf")
	if err != nil || len(paths) < 17 {
		t.Fatalf("%d models in testdata (%v), want 17", len(paths), err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".gguf"))
	}
	return names
}

// TestGolden: whatever way the tokens go in (at once, in chunks that cut
// windows, one by one, mixed), the logits are those of the float64 forward.
func TestGolden(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			for _, w := range []struct {
				name  string
				batch int
				steps []int // lengths of the calls, the last one again and again
			}{
				{"at once", 64, []int{len(g.ids)}},
				{"chunks", 7, []int{len(g.ids)}},
				{"one by one", 1, []int{1}},
				{"one by one, large batch", 64, []int{1}},
				{"mixed", 5, []int{3, 1, 11, 1, 1, 8, 1}},
			} {
				s := newSession(t, g.load(t, Options{Batch: w.batch, ExactCache: true}))
				g.check(t, s, w.name, w.steps, bound(name, tensor.F32))
			}
		})
	}
}

// bound is how far off logits may be: products with f32 weights are exact but
// for rounding, quantised ones round activations to 8 bits.
func bound(name string, cache tensor.DType) float64 {
	switch {
	case strings.HasSuffix(name, "q8_0"):
		return 0.08
	case cache == tensor.F16:
		return 0.03
	case cache == tensor.Q8_0:
		return 0.08
	}
	return 1e-4
}

func (g *golden) check(t *testing.T, s *Session, how string, steps []int, bound float64) {
	t.Helper()
	for pos, i := 0, 0; pos < len(g.ids); i++ {
		n := min(steps[min(i, len(steps)-1)], len(g.ids)-pos)
		logits, err := s.Eval(t.Context(), g.ids[pos:pos+n])
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		pos += n
		if off := g.off(pos-1, logits); !(off <= bound) {
			t.Errorf("%s: logits after token %d are %.2g off, want at most %g", how, pos-1, off, bound)
		}
	}
}

func TestEvalAll(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			s := newSession(t, g.load(t, Options{Batch: 16, ExactCache: true}))
			next := 0
			for _, part := range [][]int32{g.ids[:1], g.ids[1:18], g.ids[18:]} {
				err := s.EvalAll(t.Context(), part, func(pos int, logits []float32) {
					if pos != next {
						t.Fatalf("position %d, want %d", pos, next)
					}
					next++
					if off := g.off(pos, logits); !(off <= bound(name, tensor.F32)) {
						t.Errorf("logits after token %d are %.2g off", pos, off)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if next != len(g.ids) {
				t.Errorf("%d positions, want %d", next, len(g.ids))
			}
		})
	}
}

// TestCacheTypes: f16 and q8_0 caches are near the truth.
func TestCacheTypes(t *testing.T) {
	for _, name := range goldenNames(t) {
		for _, d := range []tensor.DType{tensor.F16, tensor.BF16, tensor.Q8_0} {
			g := readGolden(t, name)
			if d == tensor.Q8_0 && keyLength(t, g)%32 != 0 {
				_, err := LoadFile(t.Context(), g.file, Options{CacheType: d})
				if err == nil || !strings.Contains(err.Error(), "whole blocks") {
					t.Errorf("%s with a %s cache: %v, want a refusal", name, d, err)
				}
				continue
			}
			s := newSession(t, g.load(t, Options{Batch: 16, CacheType: d}))
			limit := bound(name, d)
			if d == tensor.BF16 {
				limit = 0.08
			}
			g.check(t, s, name+" "+d.String(), []int{17, 1}, limit)
		}
	}
}

func keyLength(t *testing.T, g golden) int {
	t.Helper()
	arch, err := g.file.String("general.architecture")
	if err != nil {
		t.Fatal(err)
	}
	n, err := g.file.Uint(arch + ".attention.key_length")
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestTruncate: a text that is cut and continued, also far behind what a ring
// remembers, is as if it had never been longer.
func TestTruncate(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			s := newSession(t, g.load(t, Options{Batch: 3, ExactCache: true}))
			for _, to := range []int{0, 39, 37, 30, 12, 1, 0} {
				s.Truncate(to)
				if s.Position() != to {
					t.Fatalf("position %d after Truncate(%d)", s.Position(), to)
				}
				wrong := []int32{5, 6, 7, 8}
				if to <= 30 {
					if _, err := s.Eval(t.Context(), wrong); err != nil {
						t.Fatal(err)
					}
					s.Truncate(to)
				}
				logits, err := s.Eval(t.Context(), g.ids[to:])
				if err != nil {
					t.Fatal(err)
				}
				if off := g.off(len(g.ids)-1, logits); !(off <= bound(name, tensor.F32)) {
					t.Errorf("continued at %d: logits are %.2g off", to, off)
				}
			}
			logits, err := s.Eval(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if off := g.off(len(g.ids)-1, logits); !(off <= bound(name, tensor.F32)) {
				t.Errorf("asked again: logits are %.2g off", off)
			}
		})
	}
}

// A file whose numbers are made when they are wanted is the same model.
func TestGoldenMade(t *testing.T) {
	for _, name := range goldenNames(t) {
		g := readGolden(t, name)
		tensors := slices.Clone(g.file.Tensors)
		for i := range tensors {
			from := g.file.Tensors[i]
			tensors[i].Data, tensors[i].Make = nil, from.Read
		}
		f, err := gguf.New(g.file.Meta, tensors)
		if err != nil {
			t.Fatal(err)
		}
		made := golden{file: f, context: g.context}
		held := g.load(t, Options{})
		want, err := newSession(t, held).Eval(t.Context(), g.ids)
		if err != nil {
			t.Fatal(err)
		}
		want = slices.Clone(want)
		got, err := newSession(t, made.load(t, Options{})).Eval(t.Context(), g.ids)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: logits differ (%v)", name, err)
		}
	}
}
