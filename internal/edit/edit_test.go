package edit

import (
	"math/rand/v2"
	"testing"
)

// TestDistance has the examples of the literature: Wagner and Fischer's
// distance where nothing is swapped, and CA to ABC, where swaps that may not be
// edited again need a third step
// (https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance).
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"saturday", "sunday", 3},
		{"intention", "execution", 5},
		{"gemma", "gmema", 1},
		{"ca", "abc", 3},
		{"a cat", "an act", 2},
		{"größe", "grösse", 2},
	} {
		if got := Distance([]rune(c.a), []rune(c.b)); got != c.want {
			t.Errorf("Distance(%q, %q): %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Distance([]rune(c.b), []rune(c.a)); got != c.want {
			t.Errorf("Distance(%q, %q): %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

// TestDefinition compares with the definition, which asks for every edit at
// every place.
func TestDefinition(t *testing.T) {
	var plain func(a, b []byte) int
	plain = func(a, b []byte) int {
		m, n := len(a), len(b)
		if m == 0 || n == 0 {
			return m + n
		}
		replace := plain(a[:m-1], b[:n-1])
		if a[m-1] != b[n-1] {
			replace++
		}
		best := min(replace, plain(a[:m-1], b)+1, plain(a, b[:n-1])+1)
		if m > 1 && n > 1 && a[m-1] == b[n-2] && a[m-2] == b[n-1] {
			best = min(best, plain(a[:m-2], b[:n-2])+1)
		}
		return best
	}
	r := rand.New(rand.NewPCG(1, 2))
	word := func() []byte {
		w := make([]byte, r.IntN(7))
		for i := range w {
			w[i] = "abc"[r.IntN(3)]
		}
		return w
	}
	for range 500 {
		a, b := word(), word()
		if got, want := Distance(a, b), plain(a, b); got != want {
			t.Fatalf("Distance(%q, %q): %d, want %d", a, b, got, want)
		}
	}
}
