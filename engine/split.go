package engine

import (
	"slices"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

// A part is a run of layers on one device. The device of the first layer also
// looks tokens up, that of the last one also computes logits.
type part struct {
	dev    tensor.Device
	lo, hi int // layers lo, lo+1, … hi-1
	use    DeviceUse
}

// DeviceUse is what a model and one session of it, or a Batcher of
// Options.Texts, take of a device, in bytes.
type DeviceUse struct {
	Device  string // "cuda:0"
	Layers  int    // layers that it computes
	Weights int64
	Cache   int64 // keys and values
	Scratch int64 // working memory, also the device's own
}

// Bytes is the sum.
func (u DeviceUse) Bytes() int64 { return u.Weights + u.Cache + u.Scratch }

// A sizer is a device that says what it takes, in bytes: beside tensors, where
// products have inputs of so many rows and columns; for a weight; for a tensor.
type sizer interface {
	Overhead(rows, cols int) int64
	Placed(d tensor.DType, shape []int) int64
	Taken(bytes int64) int64
}

// A room is a device, what it has free, and what it takes of that beside tensors.
type room struct {
	dev          tensor.Device
	free, beside int64
}

// left is what there is for tensors; it may be less than nothing.
func (r room) left() int64 { return r.free - r.beside }

func rooms(n *network, batch, texts int, devices ...tensor.Device) []room {
	var all []room
	for _, d := range devices {
		free, _ := d.Memory()
		all = append(all, room{d, free, n.overhead(d, batch, texts)})
	}
	return all
}

// overhead is what a device takes beside tensors, for batches of so many tokens and
// where so many texts go together.
func (n *network) overhead(d tensor.Device, batch, texts int) int64 {
	s, ok := d.(sizer)
	if !ok {
		return 0
	}
	// A card splits each text's attention over its processors: 4 KB a part.
	return s.Overhead(batch, max(n.dim, n.qDim(), n.ffn)) + int64(texts)<<20
}

// costs are what runs of layers take of a device.
type costs struct {
	n       *network
	batch   int
	texts   int      // of a Batcher; 0: one session
	weights sizes    // of the layers before i, of weights that one layer has alone
	caches  sizes    // of the layers before i
	shared  []sharer // weights that several layers have, or the two ends
}

type sharer struct {
	layers []int // in order
	bytes  size
}

// A size is what a weight or a cache takes on the host and on a card.
type size [2]int64

const (
	onHost = 0
	onCard = 1
)

// sizes[i] is the sum of the layers before i.
type sizes []size

func (w *weight) size(card sizer) size {
	n := int64(w.bytes())
	if card == nil {
		return size{n, n}
	}
	return size{n, card.Placed(w.dtype, w.shape)}
}

// home is the layer that a weight belongs to: the embedding to the first one,
// the output to the last.
func (n *network) home(dst **tensor.Tensor) int {
	switch dst {
	case &n.embed, &n.positions, &n.segment, &n.embedNorm, &n.embedNormBias:
		return 0
	case &n.output, &n.outputNorm:
		return len(n.layers) - 1
	}
	// All others are fields of n.layers, which never moves.
	return int((uintptr(unsafe.Pointer(dst)) - uintptr(unsafe.Pointer(&n.layers[0]))) / unsafe.Sizeof(layer{}))
}

func newCosts(n *network, weights []weight, cards []room, context, batch, texts int, cacheType tensor.DType) *costs {
	c := &costs{n: n, batch: max(min(batch, context), stepRows(texts)), texts: texts, weights: make(sizes, len(n.layers)+1), caches: make(sizes, len(n.layers)+1)}
	var card sizer
	if len(cards) > 0 {
		card, _ = cards[0].dev.(sizer)
	}
	for _, w := range weights {
		var layers []int
		for _, dst := range w.dst {
			layers = append(layers, n.home(dst))
		}
		slices.Sort(layers)
		layers = slices.Compact(layers)
		bytes := w.size(card)
		if len(layers) > 1 {
			c.shared = append(c.shared, sharer{layers, bytes})
			continue
		}
		for where, b := range bytes {
			c.weights[layers[0]+1][where] += b
		}
	}
	for i := range n.layers {
		rows := max(1, texts) * cacheRows(&n.layers[i], context, c.batch)
		for where, s := range []sizer{onHost: nil, onCard: card} {
			c.weights[i+1][where] += c.weights[i][where]
			c.caches[i+1][where] = c.caches[i][where] + n.cacheBytes(s, rows, cacheType)
		}
	}
	return c
}

// cacheBytes is what a layer's keys and values of so many tokens take.
func (n *network) cacheBytes(s sizer, rows int, t tensor.DType) int64 {
	bytes := int64(rows) * int64(t.Bytes(n.kvDim()))
	if s != nil {
		bytes = s.Taken(bytes)
	}
	return 2 * bytes
}

// of is what the layers from lo to hi take. Logits are counted twice: as long
// as a text is generated the host has them, too.
func (c *costs) of(where, lo, hi int) DeviceUse {
	n := c.n
	if lo == hi {
		return DeviceUse{}
	}
	u := DeviceUse{Layers: hi - lo, Weights: c.weights[hi][where] - c.weights[lo][where], Cache: c.caches[hi][where] - c.caches[lo][where]}
	if n.encoder { // one cache for all layers
		u.Cache = c.caches[1][where]
	}
	for _, s := range c.shared {
		if i, _ := slices.BinarySearch(s.layers, lo); i < len(s.layers) && s.layers[i] < hi {
			u.Weights += s.bytes[where]
		}
	}
	u.Scratch = batchBytes(n, c.batch)
	switch {
	case c.texts > 0:
		u.Scratch += 4 * int64(c.batch)
		if hi == len(n.layers) {
			u.Scratch += headBytes(n, stepRows(c.texts))
		}
	case hi == len(n.layers):
		u.Scratch += 2 * 4 * int64(n.vocab)
	}
	return u
}

// split puts the last layers, so many, on cards, and those before on the host.
// It returns nil where the memory is too little.
func (c *costs) split(host room, cards []room, layers int) []part {
	last := len(c.n.layers)
	lo := last - layers
	if c.of(onHost, 0, lo).Bytes() > host.left() {
		return nil
	}
	parts := []part{c.part(onHost, host.dev, 0, lo)}
	if layers > 0 {
		spread := c.spread(cards, lo)
		if spread == nil {
			return nil
		}
		parts = append(parts, spread...)
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.lo == p.hi })
}

func (c *costs) part(where int, dev tensor.Device, lo, hi int) part {
	p := part{dev, lo, hi, c.of(where, lo, hi)}
	p.use.Device = dev.Name()
	p.use.Scratch += c.n.overhead(dev, c.batch, c.texts)
	return p
}

// spread puts the layers from lo on the first card that holds them all, or on
// several so that each is as full as the others.
func (c *costs) spread(cards []room, lo int) []part {
	last := len(c.n.layers)
	for _, r := range cards {
		if c.of(onCard, lo, last).Bytes() <= r.left() {
			return []part{c.part(onCard, r.dev, lo, last)}
		}
	}
	best := c.fill(cards, lo, 1)
	if best == nil {
		return nil
	}
	for full, step := 1.0, 0.5; step > 1e-3; step /= 2 {
		if parts := c.fill(cards, lo, full-step); parts != nil {
			best, full = parts, full-step
		}
	}
	return best
}

// fill gives each card in turn the layers that fit into a share of its memory.
func (c *costs) fill(cards []room, lo int, share float64) (parts []part) {
	last := len(c.n.layers)
	for _, r := range cards {
		hi := lo
		for hi < last && float64(c.of(onCard, lo, hi+1).Bytes()) <= share*float64(r.left()) {
			hi++
		}
		if hi > lo {
			parts = append(parts, c.part(onCard, r.dev, lo, hi))
		}
		lo = hi
	}
	if lo < last {
		return nil
	}
	return parts
}
