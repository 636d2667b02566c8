package expr

import (
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/edit"
)

// Closest finds the name that someone who typed id may have meant, "" for
// none: at most a third of the letters differ, and case counts for nothing.
func Closest(id string, known []string) string {
	best, bestDist := "", len(id)/3+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(id), strings.ToLower(k)); d < bestDist {
			best, bestDist = k, d
		}
	}
	return best
}

func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 1 << 10
	}
	return edit.Distance(x, y)
}
