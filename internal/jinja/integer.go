package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Integers have no bound in the language. Those that fit are int64, the
// others *big.Int; none has more than maxIntBits.
const maxIntBits = 1 << 13

// integer is v in the shorter of the two forms.
func integer(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

// wide is an int, or a bool, as big.Int.
func wide(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v), true
	case bool:
		return big.NewInt(toInt(v)), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// float is a number, or a bool, as float64.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool:
		return float64(toInt(v)), true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	}
	return 0, false
}

// isNumber says whether v is an int, a float or a bool.
func isNumber(v any) bool {
	_, ok := float(v)
	return ok
}

// isInt says whether v is an int or a bool.
func isInt(v any) bool {
	_, isFloat := v.(float64)
	return !isFloat && isNumber(v)
}

// number reads a number of JSON.
func number(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, fmt.Errorf("jinja: %q is not a number", s)
		}
		return f, nil
	}
	if len(s) > maxIntBits/4 {
		return nil, fmt.Errorf("jinja: number of %d digits is too large", len(s))
	}
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("jinja: %q is not a number", s)
	}
	return integer(v), nil
}

// formatFloat is Python's repr of a float: the shortest digits that read
// back as the same number.
func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
