package grammar

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// grammarOf makes a grammar of one expression.
func grammarOf(t testing.TB, e *expr) *Grammar {
	t.Helper()
	g := &Grammar{rules: []rule{{"root", e}}}
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestIntegers holds the grammars of intervals against the numbers around
// their ends, one by one.
func TestIntegers(t *testing.T) {
	for lo := int64(-130); lo <= 130; lo += 9 {
		for _, width := range []int64{0, 1, 7, 90, 260} {
			g := grammarOf(t, integers(boundAt(fmt.Sprint(lo), false), boundAt(fmt.Sprint(lo+width), false)))
			for n := int64(-300); n <= 400; n++ {
				if got, want := g.Matches(fmt.Sprint(n)) == nil, n >= lo && n <= lo+width; got != want {
					t.Fatalf("%d from %d to %d: %v", n, lo, lo+width, got)
				}
			}
			for _, no := range []string{"", "-", "00", "01", "-0", "+1", "1.0"} {
				if g.Matches(no) == nil {
					t.Errorf("%q from %d to %d", no, lo, lo+width)
				}
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 { // large ones, open ones, fractions as bounds
		a, b := randomNumber(r), randomNumber(r)
		lo, hi := boundAt(a, r.IntN(2) == 0), boundAt(b, r.IntN(2) == 0)
		switch r.IntN(4) {
		case 0:
			lo = bound{}
		case 1:
			hi = bound{}
		}
		e := integers(lo, hi)
		if e == nil {
			continue
		}
		g := grammarOf(t, e)
		for _, near := range []string{a, b, "0", randomNumber(r)} {
			n := whole(boundAt(near, false))
			for d := int64(-3); d <= 3; d++ {
				m := new(big.Int).Add(n, big.NewInt(d))
				want := within(new(big.Rat).SetInt(m), lo, hi) && (len(strings.Trim(m.String(), "-")) <= intDigits || bounded(m, lo, hi))
				if got := g.Matches(m.String()) == nil; got != want {
					t.Fatalf("%s in %v: %v, want %v", m, show(lo, hi), got, want)
				}
			}
		}
	}
}

// bounded says whether numbers on the side of n have as many digits as the
// bounds.
func bounded(n *big.Int, lo, hi bound) bool {
	if n.Sign() < 0 {
		lo, hi = hi.negative(), lo.negative()
	}
	return hi.at != nil || lo.at != nil && lo.at.Sign() > 0 && len(new(big.Int).Abs(n).String()) <= len(whole(lo).String())
}

// TestDecimals does so for numbers with a fraction.
func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	tried := 0
	for range 1500 {
		a, b := randomNumber(r), randomNumber(r)
		if r.IntN(3) == 0 { // the same but for the end
			b = a + fmt.Sprint(r.IntN(100))
			if !strings.Contains(a, ".") {
				b = a + "." + fmt.Sprint(r.IntN(100))
			}
		}
		lo, hi := boundAt(a, r.IntN(2) == 0), boundAt(b, r.IntN(2) == 0)
		if lo.at.Cmp(hi.at) > 0 {
			lo, hi = hi, lo
		}
		switch r.IntN(5) {
		case 0:
			lo = bound{}
		case 1:
			hi = bound{}
		}
		e := decimals(lo, hi)
		if e == nil {
			if lo.at == nil || hi.at == nil || lo.at.Cmp(hi.at) < 0 {
				t.Fatalf("nothing in %s", show(lo, hi))
			}
			continue
		}
		g := grammarOf(t, e)
		for range 40 {
			s := []string{a, b, "0", randomNumber(r)}[r.IntN(4)]
			for range r.IntN(3) { // change a digit, or add one
				if i := r.IntN(len(s)); s[i] >= '0' && s[i] <= '9' && r.IntN(2) == 0 {
					s = s[:i] + fmt.Sprint(r.IntN(10)) + s[i+1:]
				} else if strings.Contains(s, ".") {
					s += fmt.Sprint(r.IntN(10))
				}
			}
			x, _ := new(big.Rat).SetString(s)
			digits := strings.TrimPrefix(s, "-")
			sound := len(digits) == 1 || digits[0] != '0' || digits[1] == '.'
			if s[0] == '-' && x.Sign() == 0 {
				continue // left out, though valid
			}
			if got, want := g.Matches(s) == nil, sound && within(x, lo, hi); got != want {
				t.Fatalf("%s in %s: %v, want %v", s, show(lo, hi), got, want)
			}
			tried++
		}
	}
	if tried < 10000 {
		t.Errorf("only %d numbers tried", tried)
	}
}

func boundAt(s string, strict bool) bound {
	x, _ := new(big.Rat).SetString(s)
	return bound{x, strict}
}

func within(x *big.Rat, lo, hi bound) bool {
	above := func(x *big.Rat, b bound) bool {
		return b.at == nil || x.Cmp(b.at) > 0 || x.Cmp(b.at) == 0 && !b.strict
	}
	return above(x, lo) && above(new(big.Rat).Neg(x), hi.negative())
}

func show(lo, hi bound) string {
	return fmt.Sprintf("%v (%v) to %v (%v)", lo.at, lo.strict, hi.at, hi.strict)
}

// randomNumber has up to eight digits before the point and six behind it.
func randomNumber(r *rand.Rand) string {
	n := r.Int64N([]int64{2, 12, 120, 100000, 1e8}[r.IntN(5)])
	s := fmt.Sprint(n)
	if r.IntN(2) == 0 {
		s += "." + fmt.Sprint(r.IntN([]int{2, 30, 500, 100000}[r.IntN(4)]))
	}
	if r.IntN(2) == 0 && strings.Trim(s, "0.") != "" {
		s = "-" + s
	}
	return s
}
