package expr

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

var constants = map[string]Value{"pi": math.Pi, "e": math.E, "inf": math.Inf(1), "nan": math.NaN(),
	"True": true, "False": false, "true": true, "false": false}

// scalars applies an operator to two numbers: int64 exactly or not at all, as
// soon as one is a float64 in float64.
func scalars(op string, x, y Value) (Value, error) {
	a, aInt := x.(int64)
	b, bInt := y.(int64)
	if aInt && bInt && op != "/" && !(op == "**" && b < 0) {
		n, ok, err := integers(op, a, b)
		if err == nil && !ok {
			err = fmt.Errorf("%d %s %d does not fit in 64 bits; write %d.0 for floats", a, op, b, a)
		}
		if err != nil {
			return nil, err
		}
		return n, nil
	}
	f, g := toFloat(x), toFloat(y)
	switch op {
	case "+":
		return f + g, nil
	case "-":
		return f - g, nil
	case "*":
		return f * g, nil
	case "**":
		return math.Pow(f, g), nil
	case "@":
		return nil, errors.New("@ multiplies tensors; for numbers write *")
	}
	if g == 0 {
		return nil, errors.New("division by zero")
	}
	switch op {
	case "/":
		return f / g, nil
	case "//":
		return math.Floor(f / g), nil
	}
	m := math.Mod(f, g)
	if m != 0 && (m < 0) != (g < 0) { // the sign of the divisor, as Python has it
		m += g
	}
	return m, nil
}

// integers computes in int64; ok is false when the result does not fit.
func integers(op string, a, b int64) (n int64, ok bool, err error) {
	switch op {
	case "+":
		n = a + b
		return n, (n > a) == (b > 0), nil
	case "-":
		n = a - b
		return n, (n < a) == (b > 0), nil
	case "*":
		n, ok = mulInt(a, b)
		return n, ok, nil
	case "**":
		n, ok = powInt(a, b)
		return n, ok, nil
	case "@":
		return 0, false, errors.New("@ multiplies tensors; for numbers write *")
	}
	if b == 0 {
		return 0, false, errors.New("division by zero")
	}
	q, m := a/b, a%b
	if m != 0 && (m < 0) != (b < 0) { // floor, as Python has it
		q, m = q-1, m+b
	}
	if op == "%" {
		return m, true, nil
	}
	return q, !(a == math.MinInt64 && b == -1), nil
}

func mulInt(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if (a < 0) != (b < 0) {
		return -int64(lo), hi == 0 && lo <= 1<<63
	}
	return int64(lo), hi == 0 && lo < 1<<63
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// powInt needs b ≥ 0.
func powInt(a, b int64) (n int64, ok bool) {
	n, ok = 1, true
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			if n, ok = mulInt(n, a); !ok {
				return 0, false
			}
		}
		if b > 1 {
			if a, ok = mulInt(a, a); !ok {
				return 0, false
			}
		}
	}
	return n, true
}

func isScalar(v Value) bool {
	switch v.(type) {
	case int64, float64, bool:
		return true
	}
	return false
}

func toFloat(v Value) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

// number makes a bool the integer that it counts as.
func asNumber(v Value) Value {
	if b, ok := v.(bool); ok {
		return int64(toFloat(b))
	}
	return v
}
