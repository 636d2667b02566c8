package jinja

import (
	"math"
	"math/big"
	"slices"
)

// sign is + or - in front of a value.
func (m *machine) sign(op string, v any) any {
	if u, ok := v.(undefined); ok {
		m.fail("%s", u.why)
	}
	if f, ok := v.(float64); ok {
		if op == "-" {
			return -f
		}
		return f
	}
	i, ok := wide(v)
	if !ok {
		m.fail("%q wants a number, got a %s", op, typeName(v))
	}
	if op == "-" {
		i = new(big.Int).Neg(i)
	}
	return integer(i)
}

// arithmetic is a op b.
func (m *machine) arithmetic(op string, a, b any) any {
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok && !formats(op, a) {
			m.fail("%s", u.why)
		}
	}
	if isInt(a) && isInt(b) {
		return m.integers(op, a, b)
	}
	if isNumber(a) && isNumber(b) {
		x, _ := float(a)
		y, _ := float(b)
		return m.floats(op, x, y)
	}
	switch op {
	case "+":
		if v, ok := m.add(a, b); ok {
			return v
		}
	case "*":
		if isInt(a) {
			a, b = b, a
		}
		if isInt(b) {
			if v, ok := m.repeat(a, b); ok {
				return v
			}
		}
	case "%":
		if formats(op, a) {
			return m.percent(a, b)
		}
	}
	m.fail("%q does not go with a %s and a %s; convert one of them, for example with |string or |int", op, typeName(a), typeName(b))
	return nil
}

// formats says whether op with a on its left is the formatting of a string.
func formats(op string, a any) bool {
	_, ok := asString(a)
	return ok && op == "%"
}

// add joins strings or lists.
func (m *machine) add(a, b any) (any, bool) {
	s, isString := asString(a)
	t, both := asString(b)
	if isString && both {
		_, am := a.(markup)
		_, bm := b.(markup)
		if am != bm { // what is not markup is escaped
			if am {
				t = m.escape(t)
			} else {
				s = m.escape(s)
			}
		}
		m.alloc(len(s) + len(t))
		if am || bm {
			return markup(s + t), true
		}
		return s + t, true
	}
	l, ok := a.(*list)
	k, both := b.(*list)
	if !ok || !both || l.tuple != k.tuple {
		return nil, false
	}
	m.alloc(16 * (len(l.items) + len(k.items)))
	return &list{items: slices.Concat(l.items, k.items), tuple: l.tuple}, true
}

// repeat is a string or a list n times.
func (m *machine) repeat(v, n any) (any, bool) {
	if _, ok := n.(*big.Int); ok {
		m.fail("%v times is too often: %w", n, ErrLimit)
	}
	count := max(0, m.bound(n, 0))
	times := func(size int) int {
		if size > 0 && count > m.limits.Memory/size {
			m.alloc(m.limits.Memory + 1)
		}
		return size * count
	}
	switch v := v.(type) {
	case string:
		return m.repeated(v, times(len(v))), true
	case markup:
		return markup(m.repeated(string(v), times(len(v)))), true
	case *list:
		m.alloc(16 * times(len(v.items)))
		if len(v.items) == 0 {
			count = 0
		}
		return &list{items: slices.Repeat(v.items, count), tuple: v.tuple}, true
	}
	return nil, false
}

// floats is a op b of two floats.
func (m *machine) floats(op string, a, b float64) any {
	if b == 0 && (op == "/" || op == "//" || op == "%") {
		m.fail("division by zero")
	}
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "//":
		q, _ := floorMod(a, b)
		return q
	case "%":
		_, r := floorMod(a, b)
		return r
	}
	if a == 0 && b < 0 {
		m.fail("division by zero: 0 to a negative power")
	}
	p := math.Pow(a, b)
	if math.IsNaN(p) && a < 0 && !math.IsInf(b, 0) && !math.IsNaN(b) || math.IsInf(p, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		m.fail("%v ** %v is not a number of the language", a, b)
	}
	return p
}

// floorMod divides as Python does: the remainder has the sign of b.
func floorMod(a, b float64) (q, r float64) {
	r = math.Mod(a, b)
	q = (a - r) / b
	if r != 0 && (r < 0) != (b < 0) {
		r += b
		q--
	} else if r == 0 {
		r = math.Copysign(0, b)
	}
	if q == 0 {
		return math.Copysign(0, a/b), r
	}
	if f := math.Floor(q); q-f > 0.5 {
		return f + 1, r
	} else {
		return f, r
	}
}

// integers is a op b of two ints.
func (m *machine) integers(op string, a, b any) any {
	if x, ok := a.(int64); ok && int64(int32(x)) == x { // the usual case, without overflow
		if y, ok := b.(int64); ok && int64(int32(y)) == y {
			switch op {
			case "+":
				return x + y
			case "-":
				return x - y
			case "*":
				return x * y
			}
		}
	}
	x, _ := wide(a)
	y, _ := wide(b)
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "**":
		return m.power(x, y)
	default:
		if y.Sign() == 0 {
			m.fail("division by zero")
		}
		if op == "/" {
			return m.quotient(x, y)
		}
		rest := new(big.Int)
		z.QuoRem(x, y, rest)
		if rest.Sign() != 0 && rest.Sign() != y.Sign() { // Python rounds down
			z.Sub(z, big.NewInt(1))
			rest.Add(rest, y)
		}
		if op == "%" {
			z = rest
		}
	}
	return m.checked(z)
}

// checked is an int of bearable size.
func (m *machine) checked(z *big.Int) any {
	if z.BitLen() > maxIntBits {
		m.fail("integer of %d bits, at most %d allowed: %w", z.BitLen(), maxIntBits, ErrLimit)
	}
	m.work(1 + z.BitLen()/64)
	return integer(z)
}

// quotient is x/y rounded once, as Python does.
func (m *machine) quotient(x, y *big.Int) any {
	f, _ := new(big.Rat).SetFrac(x, y).Float64()
	if x.Sign() == 0 && y.Sign() < 0 {
		f = math.Copysign(0, -1)
	}
	if math.IsInf(f, 0) {
		m.fail("the quotient is too large for a float")
	}
	return f
}

func (m *machine) power(x, y *big.Int) any {
	if y.Sign() < 0 {
		a, _ := float(integer(x))
		b, _ := float(integer(y))
		return m.floats("**", a, b)
	}
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxIntBits || int64(x.BitLen()-1)*y.Int64() > maxIntBits) {
		m.fail("power of more than %d bits: %w", maxIntBits, ErrLimit)
	}
	if x.BitLen() <= 1 && y.Sign() > 0 { // of 0, 1 and -1: odd or even is all that matters
		y = big.NewInt(2 + int64(y.Bit(0)))
	}
	return m.checked(new(big.Int).Exp(x, y, nil))
}
