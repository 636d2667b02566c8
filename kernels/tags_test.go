package kernels

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestPlace runs lists of stages as blocks do that know nothing of place (step.cuh):
// each goes ahead as far as what it reads is there. Whatever one of them is late
// with, every reader gets its own number.
func TestPlace(t *testing.T) {
	d := emulated(t)
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	defer d.leave()
	rng := rand.New(rand.NewPCG(1, 2))
	const lists = 16000
	placed, homes := 0, [4]int{}
	for i := range lists {
		d.info.SMs = 1 + rng.IntN(3)
		l := newList(d, rng)
		if l.place() {
			placed++
			for _, n := range l.homes() {
				homes[min(n, 3)]++
			}
			if err := l.try(); err != nil {
				t.Fatalf("list %d: %v\n%s", i, err, l)
			}
		}
		if err := errors.Join(l.err, l.drop()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d lists have places; %d homes are of two values, %d of more", placed, lists, homes[2], homes[3])
	if placed < 100 || homes[2] < 100 || homes[3] < 20 {
		t.Error("those are too few")
	}
}

// TestPlaceFarAhead: a block that has nothing of the first stages comes to wait for
// a number when none has been written, by way of a stage that needs nothing. (Lists
// by chance hardly have that.)
func TestPlaceFarAhead(t *testing.T) {
	d := emulated(t)
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	defer d.leave()
	d.info.SMs = 2
	l := &list{fusion: &fusion{d: d}, rng: rand.New(rand.NewPCG(1, 2)), owners: map[*value][]int{}}
	var tensors []*tensor.Tensor
	for i := range 7 {
		tensors = append(tensors, &tensor.Tensor{Name: string(rune('a' + i)), DType: tensor.F32, Shape: []int{1}, Addr: uintptr(4096 + 64*i)})
	}
	for i, s := range []struct{ x, block int }{{0, 1}, {1, 1}, {2, 1}, {0, 0}, {3, 0}, {5, 0}} { // stage i writes tensor i+1
		io := inputs{x: l.value(tensors[s.x]), dst: [3]*value{l.write(tensors[i+1], i)}, lots: make([]lot, 2)}
		io.x.readers = append(io.x.readers, i)
		io.lots[s.block].units = 1
		l.owners[io.dst[0]] = []int{s.block}
		l.stages = append(l.stages, stage{stageProduct, int32(i)})
		l.inputs, l.adaptations = append(l.inputs, io), append(l.adaptations, adaptation{})
	}
	if !l.place() {
		t.Fatal("no places")
	}
	if err := errors.Join(l.try(), l.drop()); err != nil {
		t.Errorf("%v\n%s", err, l)
	}
}

// A list is stages as match could make them, of few numbers, and what place does
// not ask for.
type list struct {
	*fusion
	rng     *rand.Rand
	tensors []*tensor.Tensor
	owners  map[*value][]int // of a product's results: the block of each number
	heads   []heads          // of the attentions
}

// heads are those of an attention: key heads, so many heads a key head, a number
// each; splits at most, and as many as there are.
type heads struct{ kv, group, splits, live int }

func newList(d *Device, rng *rand.Rand) *list {
	l := &list{fusion: &fusion{d: d}, rng: rng, owners: map[*value][]int{}}
	for i := range 12 {
		n, addr := []int{2, 2, 1, 2, 3, 2}[i%6], uintptr(4096+64*i)
		if i > 0 && rng.IntN(12) == 0 { // a part of another, or all of it
			n, addr = 1, l.tensors[i-1].Addr
		}
		l.tensors = append(l.tensors, &tensor.Tensor{Name: string(rune('a' + i)), DType: tensor.F32, Shape: []int{n}, Addr: addr})
	}
	for n := 3 + rng.IntN(6); len(l.stages) < n; {
		l.product()
	}
	return l
}

// tensor is any of n numbers, or of any if n is 0, beside others; or nil. It is
// often one that was used shortly before.
func (l *list) tensor(n int, others ...*tensor.Tensor) *tensor.Tensor {
	var all []*tensor.Tensor
	for range 4 * l.rng.IntN(2) * min(1, len(l.values)) {
		all = append(all, l.values[len(l.values)-1-l.rng.IntN(min(len(l.values), 6))].t)
	}
	for _, i := range l.rng.Perm(len(l.tensors)) {
		all = append(all, l.tensors[i])
	}
	for _, t := range all {
		if (n == 0 || t.Len() == n) && !slices.ContainsFunc(others, func(u *tensor.Tensor) bool { return overlap(t, u) }) {
			return t
		}
	}
	return nil
}

// product adds a product, perhaps with an attention behind it; or nothing, where
// it finds no tensors.
func (l *list) product() {
	now, blocks := len(l.stages), l.d.sms()
	x := l.tensor(0)
	if now > 0 && l.rng.IntN(7) > 0 { // as a rule, what came last
		x = l.values[len(l.values)-1].t
	}
	in := []*tensor.Tensor{x, nil, nil} // and post, residual
	var dst, written []*tensor.Tensor
	if l.rng.IntN(3) == 0 {
		if in[1] = l.tensor(x.Len(), x); in[1] == nil {
			return
		}
		if l.rng.IntN(3) > 0 {
			in[0], in[1] = in[1], x
		}
		written = append(written, in[0])
	}
	var h heads
	lens := make([]int, 1+l.rng.IntN(4)/2)
	if l.rng.IntN(4) == 0 { // q, k and v
		h = heads{kv: 1 + l.rng.IntN(4)/3, group: 1, splits: 1 + l.rng.IntN(6)/2}
		if h.kv == 1 {
			h.group += l.rng.IntN(3)
		}
		h.splits = min(h.splits, max(1, l.d.sms()/h.kv)) // as decodeArgs has it: no block has two of a set
		h.live = 1 + l.rng.IntN(h.splits)
		lens = []int{h.kv * h.group, h.kv, h.kv}
	}
	for _, n := range lens {
		t := l.tensor(n, written...)
		if t == nil {
			return
		}
		dst, written = append(dst, t), append(written, t)
	}
	if len(dst) == 1 && l.rng.IntN(2) == 0 {
		in[2] = dst[0]
	}
	var values [3]*value
	for i, t := range in {
		if t != nil {
			if values[i] = l.value(t); values[i] == nil {
				return
			}
		}
	}
	for _, v := range values {
		if v != nil {
			v.readers = append(v.readers, now)
		}
	}
	io := inputs{x: values[0], post: values[1], residual: values[2], lots: make([]lot, blocks)}
	if io.post != nil {
		io.sum = l.write(in[0], now)
	}
	deal, first, dealt := l.rng.IntN(4), 0, 0
	if io.sum == nil { // else block 0 has some
		first = l.rng.IntN(blocks)
	}
	for i, t := range dst {
		io.dst[i] = l.write(t, now)
		for range t.Len() {
			block := (first + dealt*[...]int{0, 0, 1, l.rng.IntN(blocks)}[deal]) % blocks
			io.lots[block].units++
			l.owners[io.dst[i]] = append(l.owners[io.dst[i]], block)
			dealt++
		}
	}
	var more adaptation
	if l.rng.IntN(6) == 0 {
		more.ranks = int32(1 + l.rng.IntN(lowRows*blocks))
	}
	l.stages = append(l.stages, stage{stageProduct, int32(len(l.inputs))})
	l.inputs, l.adaptations = append(l.inputs, io), append(l.adaptations, more)
	if h.kv == 0 {
		return
	}
	for _, v := range io.dst {
		v.readers = append(v.readers, now+1)
	}
	a := attend{q: io.dst[0], k: io.dst[1], v: io.dst[2], dst: l.write(l.tensor(dst[0].Len()), now+1)}
	l.stages = append(l.stages, stage{stageAttend, int32(len(l.attends))})
	l.attends, l.heads = append(l.attends, a), append(l.heads, h)
}

// homes is how many values lie in each place for values with tags.
func (l *list) homes() map[uint64]int {
	homes := map[uint64]int{}
	for _, v := range l.values {
		if v.tag != 0 {
			homes[v.addr]++
		}
	}
	return homes
}

func (l *list) String() string {
	var b strings.Builder
	show := func(name string, v *value) {
		if v != nil {
			fmt.Fprintf(&b, " %s: %v", name, v)
		}
	}
	for i, s := range l.stages {
		fmt.Fprintf(&b, "stage %d:", i)
		switch s.kind {
		case stageProduct:
			io := &l.inputs[s.index]
			show("x", io.x)
			show("post", io.post)
			show("residual", io.residual)
			show("sum", io.sum)
			for _, v := range io.dst {
				show("dst", v)
			}
			fmt.Fprintf(&b, "; units")
			for _, lot := range io.lots {
				fmt.Fprintf(&b, " %d", lot.units)
			}
			fmt.Fprintf(&b, ", %d ranks\n", l.adaptations[s.index].ranks)
		case stageAttend:
			a := &l.attends[s.index]
			show("q", a.q)
			show("k", a.k)
			show("v", a.v)
			show("dst", a.dst)
			fmt.Fprintf(&b, "; %+v\n", l.heads[s.index])
		}
	}
	return b.String()
}

func (v *value) String() string {
	return fmt.Sprintf("%s of %d (%#x, tag %d)", v.t.Name, v.writer, v.addr, v.tag)
}
