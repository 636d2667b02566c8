package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// A Room is the memory that a model has to fit into, in bytes.
type Room struct {
	Device string // "cuda:0"
	Free   int64  // on the cards together, or on the host where there are none
	Host   int64  // what the host adds where a model is split; 0: nothing
}

const (
	usualContext = 4096
	spare        = 256 << 20 // scratch, and what a driver takes beside it
)

// better are the quantisations taken where memory is plenty, the best first:
// those with which a model stays under a third of it, so that a long context
// and a second model fit, too.
var better = []string{"Q8_0", "Q6_K", "Q5_K_M"}

// usual is what nearly everyone takes: a bit worse than eight bits, twice as
// fast.
var usual = []string{"Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_XS"}

// smaller are the quantisations taken where the usual one does not fit.
var smaller = []string{"Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "Q2_K_L", "Q2_K", "IQ2_M"}

// choose picks one of a model's quantisations for the memory there is, and
// says why. Weights are the files' bytes; keys and values come from the
// registry's shape, or are taken for an eighth of the weights.
func choose(q *Query, e *Entry, all []Model) (i int, why string, err error) {
	room := Room{}
	if q.Room != nil {
		room = q.Room()
	}
	need := func(i int) int64 { return all[i].Size + e.cache(q.Context, all[i].Size) + spare }
	first := func(quants []string, limit int64) int {
		for _, quant := range quants {
			i := slices.IndexFunc(all, func(m Model) bool { return m.Quant == quant || m.Quant == "UD-"+quant })
			if i >= 0 && need(i) <= limit {
				return i
			}
		}
		return -1
	}
	name := q.Name
	if e != nil {
		name = e.Name
	}
	said := func(i int, because string) string {
		return fmt.Sprintf("%s of %s: %s; %s:QUANT takes another", all[i].label(), quants(all), because, name)
	}
	if room.Free <= 0 {
		if i := first(slices.Concat(usual, better, smaller, []string{"F16", "BF16"}), 1<<62); i >= 0 {
			return i, said(i, "the usual one"), nil
		}
		return 0, "", fmt.Errorf("choose one by --file: %s", quants(all))
	}
	takes := func(i int, free int64) string {
		return fmt.Sprintf("with cache and scratch it takes %s of %s free on %s", gb(need(i)), gb(free), room.Device)
	}
	if i := first(better, room.Free/3); i >= 0 {
		return i, said(i, takes(i, room.Free)), nil
	}
	if i := first(usual, room.Free); i >= 0 {
		return i, said(i, takes(i, room.Free)), nil
	}
	if i := first(usual, room.Free+room.Host); i >= 0 && room.Host > 0 {
		return i, said(i, takes(i, room.Free)+"; the other layers go to the CPU"), nil
	}
	if i := first(append(smaller, better...), room.Free+room.Host); i >= 0 {
		return i, said(i, takes(i, room.Free)), nil
	}
	least := 0
	for i := range all {
		if all[i].Size < all[least].Size {
			least = i
		}
	}
	if need(least) <= room.Free+room.Host {
		return least, said(least, takes(least, room.Free)), nil
	}
	return 0, "", fmt.Errorf("%s does not fit: its smallest form, %s, takes %s with cache and scratch, and %s has %s free; take a smaller model (%%models search), or name a quantisation to have it fetched all the same",
		q.Name, all[least].label(), gb(need(least)), room.Device, gb(room.Free+room.Host))
}

// cache estimates the bytes of keys and values in f16 for a context.
func (e *Entry) cache(context int, weights int64) int64 {
	if context <= 0 {
		context = usualContext
	}
	if e == nil {
		return weights / 8 * int64(context) / usualContext
	}
	row := int64(2 * 2 * e.KVHeads * e.HeadDim)
	full := int64(e.Layers)
	windowed := int64(0)
	if e.Window > 0 {
		full = int64(e.FullLayers)
		windowed = int64(e.Layers-e.FullLayers) * int64(min(context, e.Window+512)) // and a batch
	}
	return row * (full*int64(context) + windowed)
}

// label is what tells a model from the others of its repository.
func (m Model) label() string {
	if m.Quant != "" {
		return m.Quant
	}
	return m.Name
}

// quants lists what there is, the smallest first.
func quants(all []Model) string {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Model) int { return int((a.Size - b.Size) >> 10) })
	var names []string
	for _, m := range sorted {
		if !slices.Contains(names, m.label()) {
			names = append(names, m.label())
		}
	}
	return strings.Join(names, " ")
}

// gb shows bytes as disks and cards are sold.
func gb(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
