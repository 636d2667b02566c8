package grammar

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// Numbers are written with so many digits at most, if no bound asks for more:
// integers that fit 64 bits, decimals about as exact as a float64.
const (
	intDigits  = 18
	fracDigits = 16
	maxDigits  = 40 // of a bound
)

// ratOf is the exact value of a JSON number; false if it has too many digits.
func ratOf(n json.Number) (*big.Rat, bool) {
	s := n.String()
	if _, exp, ok := strings.Cut(strings.ToLower(s), "e"); ok {
		if e, err := strconv.Atoi(exp); err != nil || e > 2*maxDigits || e < -2*maxDigits {
			return nil, false
		}
	}
	if len(s) > 10*maxDigits {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// A bound is one end of an interval. The zero bound is none.
type bound struct {
	at     *big.Rat
	strict bool // the end itself does not belong to it
}

func (b bound) negative() bound {
	if b.at == nil {
		return b
	}
	return bound{new(big.Rat).Neg(b.at), b.strict}
}

// tighter is the higher of two lower bounds.
func (b bound) tighter(c bound) bound {
	switch {
	case b.at == nil:
		return c
	case c.at == nil:
		return b
	}
	if d := b.at.Cmp(c.at); d > 0 || d == 0 && b.strict {
		return b
	}
	return c
}

var digit = []span{{'0', '9'}}

func digits(min, max int) *expr { return repeat(class(digit), min, max) }

// integers is the whole numbers from lo to hi; nil if there are none.
func integers(lo, hi bound) *expr {
	low, high := whole(lo), whole(hi.negative())
	if high != nil {
		high.Neg(high)
	}
	if low != nil && high != nil && low.Cmp(high) > 0 {
		return nil
	}
	var ways []*expr
	if low == nil || low.Sign() < 0 { // -1 and less
		from, to := big.NewInt(1), (*big.Int)(nil)
		if high != nil && high.Sign() < 0 {
			from = new(big.Int).Neg(high)
		}
		if low != nil {
			to = new(big.Int).Neg(low)
		}
		ways = append(ways, seq(text("-"), naturals(from, to)))
	}
	if high == nil || high.Sign() >= 0 {
		from := new(big.Int)
		if low != nil && low.Sign() > 0 {
			from = low
		}
		ways = append(ways, naturals(from, high))
	}
	return alt(ways...)
}

// whole is the least whole number above a lower bound; nil: there is none.
func whole(b bound) *big.Int {
	if b.at == nil {
		return nil
	}
	n := new(big.Int).Div(b.at.Num(), b.at.Denom()) // rounded down, as Denom > 0
	if b.strict || !b.at.IsInt() {
		n.Add(n, big.NewInt(1))
	}
	return n
}

// naturals is the whole numbers from lo >= 0 to hi >= lo, without leading
// zeros. hi nil is as many digits as usual.
func naturals(lo, hi *big.Int) *expr {
	a := lo.String()
	most := max(intDigits, len(a))
	b := strings.Repeat("9", most)
	if hi != nil {
		b = hi.String()
	}
	var ways []*expr
	for n := len(a); n <= len(b); n++ {
		from, to := "1"+strings.Repeat("0", n-1), strings.Repeat("9", n)
		if n == len(a) {
			from = a
		}
		if n == len(b) {
			to = b
		}
		if n > len(a) && n < len(b) { // all from here on are whole
			more := max(len(b)-1, n)
			ways = append(ways, seq(chars('1', '9'), digits(n-1, more-1)))
			n = more
			continue
		}
		ways = append(ways, sameLength(from, to))
	}
	return alt(ways...)
}

// sameLength is the digits from a to b, which have the same length.
func sameLength(a, b string) *expr {
	n := len(a)
	if n == 0 {
		return text("")
	}
	if strings.Trim(a, "0") == "" && strings.Trim(b, "9") == "" {
		return digits(n, n)
	}
	if a[0] == b[0] {
		return seq(text(a[:1]), sameLength(a[1:], b[1:]))
	}
	lo, hi := rune(a[0]), rune(b[0])
	var ways []*expr
	if strings.Trim(a[1:], "0") != "" {
		ways = append(ways, seq(text(a[:1]), sameLength(a[1:], strings.Repeat("9", n-1))))
		lo++
	}
	var last *expr
	if strings.Trim(b[1:], "9") != "" {
		last = seq(text(b[:1]), sameLength(strings.Repeat("0", n-1), b[1:]))
		hi--
	}
	if lo <= hi {
		ways = append(ways, seq(chars(lo, hi), digits(n-1, n-1)))
	}
	if last != nil {
		ways = append(ways, last)
	}
	return alt(ways...)
}

// decimals is the numbers from lo to hi, without exponents; nil if there are
// none.
func decimals(lo, hi bound) *expr {
	var ways []*expr
	zero := bound{at: new(big.Rat)}
	if lo.at == nil || lo.at.Sign() < 0 {
		above := zero
		above.strict = true
		if e := positives(above.tighter(hi.negative()), lo.negative()); e != nil {
			ways = append(ways, seq(text("-"), e))
		}
	}
	if e := positives(zero.tighter(lo), hi); e != nil && (hi.at == nil || hi.at.Sign() >= 0) {
		ways = append(ways, e)
	}
	if len(ways) == 0 {
		return nil
	}
	return alt(ways...)
}

// positives is decimals for lo >= 0.
func positives(lo, hi bound) *expr {
	if hi.at != nil {
		if c := lo.at.Cmp(hi.at); c > 0 || c == 0 && (lo.strict || hi.strict) {
			return nil
		}
	}
	low, lowRest := parts(lo.at)
	l := limit{lowRest, true, lo.strict}
	var ways []*expr
	add := func(whole, fraction *expr) {
		if fraction != nil {
			ways = append(ways, seq(whole, fraction))
		}
	}
	if hi.at == nil {
		add(text(low.String()), fraction(l, limit{}))
		add(naturals(new(big.Int).Add(low, big.NewInt(1)), nil), fraction(limit{}, limit{}))
		return alt(ways...)
	}
	high, highRest := parts(hi.at)
	h := limit{highRest, true, hi.strict}
	if low.Cmp(high) == 0 {
		add(text(low.String()), fraction(l, h))
	} else {
		add(text(low.String()), fraction(l, limit{}))
		from, to := new(big.Int).Add(low, big.NewInt(1)), new(big.Int).Sub(high, big.NewInt(1))
		if from.Cmp(to) <= 0 {
			add(naturals(from, to), fraction(limit{}, limit{}))
		}
		add(text(high.String()), fraction(limit{}, h))
	}
	if len(ways) == 0 {
		return nil
	}
	return alt(ways...)
}

// parts are the whole number of x >= 0, and the digits of its fraction without
// zeros at the end.
func parts(x *big.Rat) (*big.Int, string) {
	whole, rest, _ := strings.Cut(x.FloatString(4*maxDigits), ".")
	n, _ := new(big.Int).SetString(whole, 10)
	return n, strings.TrimRight(rest, "0")
}

// A limit is what the digits of a fraction are compared with.
type limit struct {
	digits string
	on     bool
	strict bool
}

// fraction is what may follow a whole number, so that the fraction is between
// two limits; nil: nothing may.
func fraction(lo, hi limit) *expr {
	var ways []*expr
	if (!lo.on || lo.digits == "" && !lo.strict) && (!hi.on || hi.digits != "" || !hi.strict) {
		ways = append(ways, text(""))
	}
	if e := rest(lo, hi, fracDigits, false); e != nil {
		ways = append(ways, seq(text("."), e))
	}
	if len(ways) == 0 {
		return nil
	}
	return alt(ways...)
}

// rest is the digits of a fraction that may follow, n at most, and more than
// none unless empty is allowed.
func rest(lo, hi limit, n int, empty bool) *expr {
	if lo.on && lo.digits == "" && !lo.strict {
		lo = limit{}
	}
	n = max(n, len(lo.digits)+1, len(hi.digits)+1)
	least := 1
	if empty {
		least = 0
	}
	switch {
	case !lo.on && !hi.on:
		return digits(least, n)
	case hi.on && hi.digits == "" && (hi.strict || lo.on):
		return nil
	case hi.on && hi.digits == "":
		return repeat(text("0"), least, n)
	case lo.on && lo.digits == "" && !hi.on: // more than zero
		return seq(repeat(text("0"), 0, n-1), chars('1', '9'), digits(0, n-1))
	}
	var ways []*expr
	if empty && !lo.on {
		ways = append(ways, text("")) // hi has more digits
	}
	from, to := rune('0'), rune('9')
	if lo.on && lo.digits != "" {
		from = rune(lo.digits[0])
	}
	if hi.on {
		to = rune(hi.digits[0])
	}
	lowest, highest := from, to
	next := func(c rune) {
		l, h := limit{}, limit{}
		if lo.on && c == lowest {
			l = limit{strings.TrimPrefix(lo.digits, string(c)), true, lo.strict}
		}
		if hi.on && c == highest {
			h = limit{hi.digits[1:], true, hi.strict}
		}
		if e := rest(l, h, n-1, true); e != nil {
			ways = append(ways, seq(text(string(c)), e))
		}
	}
	if lo.on {
		next(from)
		from++
	}
	if hi.on && to >= from {
		next(to)
		to--
	}
	if from <= to {
		ways = append(ways, seq(chars(from, to), rest(limit{}, limit{}, n-1, true)))
	}
	if len(ways) == 0 {
		return nil
	}
	return alt(ways...)
}
