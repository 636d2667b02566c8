package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// closest are the names that someone who typed name may have meant, the best
// first: at most a third of the letters differ. One that is right but for its
// case is the only one.
func closest(name string, known []string, most int) []string {
	type near struct {
		name string
		dist int
	}
	var all []near
	name = strings.ToLower(name)
	for _, k := range known {
		if d := distance(name, strings.ToLower(k)); d <= len(name)/3 {
			all = append(all, near{k, d})
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.dist, b.dist) })
	var names []string
	for _, n := range all {
		if len(names) < most && (n.dist == 0 || all[0].dist > 0 && n.dist <= all[0].dist+1) && !slices.Contains(names, n.name) {
			names = append(names, n.name)
		}
	}
	return names
}

// distance is Damerau and Levenshtein's: insertions, deletions, replacements
// and swaps of neighbours.
func distance(a, b string) int {
	if len(a) > 96 || len(b) > 96 {
		return 1 << 10
	}
	var up2, up []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		up2, up, row = up, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(up[j]+1, row[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], up2[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
