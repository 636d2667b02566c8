package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/internal/edit"
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

func distance(a, b string) int {
	if len(a) > 96 || len(b) > 96 {
		return 1 << 10
	}
	return edit.Distance([]byte(a), []byte(b))
}
