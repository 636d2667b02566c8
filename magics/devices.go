package magics

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/llcuda/llcuda/tensor"
)

// devices are where cells compute: the host's, and the cards, which are opened
// with the first use of one. Completion asks while a cell runs.
type devices struct {
	mu     sync.Mutex
	host   []tensor.Device
	open   func() ([]tensor.Device, error) // nil: no cards
	cards  []tensor.Device
	err    error  // why there are no cards
	ready  bool   // open was called
	chosen string // by %gpu use; "" and "auto": all cards
}

func (d *devices) ensure() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready && d.open != nil {
		d.cards, d.err = d.open()
	}
	d.ready = true
}

// close closes the cards; the next use opens them again.
func (d *devices) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, x := range d.cards {
		if c, ok := x.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	d.cards, d.err, d.ready = nil, nil, false
	return errors.Join(errs...)
}

// known are the devices so far, without opening any.
func (d *devices) known() []tensor.Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Concat(d.cards, d.host)
}

// all opens the cards and returns all devices, the default first.
func (d *devices) all() []tensor.Device {
	first := d.targets()[0]
	all := d.known()
	return append([]tensor.Device{first}, slices.DeleteFunc(all, func(x tensor.Device) bool { return x == first })...)
}

// targets are the devices for new tensors (the first) and models: the chosen
// one, or all cards, or the host.
func (d *devices) targets() []tensor.Device {
	d.ensure()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range slices.Concat(d.cards, d.host) {
		if x.Name() == d.chosen {
			return []tensor.Device{x}
		}
	}
	if len(d.cards) > 0 {
		return d.cards
	}
	return d.host[:1]
}

// why says why there are no cards, if they were looked for.
func (d *devices) why() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// use chooses a device by its name, or auto.
func (d *devices) use(name string) error {
	d.ensure()
	var names []string
	for _, x := range d.known() {
		names = append(names, x.Name())
	}
	if name != "auto" && !slices.Contains(names, name) {
		err := fmt.Errorf("no device %s here, only %s; %%gpu says why", name, strings.Join(names, ", "))
		if d.err != nil {
			err = fmt.Errorf("no device %s: %w", name, d.err)
		}
		return err
	}
	d.mu.Lock()
	d.chosen = name
	d.mu.Unlock()
	return nil
}

// failure says why a device that was opened does not work any more.
func failure(d tensor.Device) error {
	if f, ok := d.(interface{ Failed() error }); ok {
		return f.Failed()
	}
	return nil
}

// failures are those of devices: "cuda:0 has failed: … %gpu reset …".
func failures(devices []tensor.Device) (all []string) {
	for _, x := range devices {
		if err := failure(x); err != nil {
			all = append(all, fmt.Sprintf("%s has failed: %v", x.Name(), err))
		}
	}
	return all
}

// gpus are the cards that a model may use: those of a name of --device, or the
// targets. None is the host.
func (d *devices) gpus(name string) ([]tensor.Device, error) {
	targets := d.targets()
	switch name {
	case "", "auto":
	case "cpu":
		return nil, nil
	default:
		targets = nil
		for part := range strings.SplitSeq(name, ",") {
			i := slices.IndexFunc(d.known(), func(x tensor.Device) bool { return x.Name() == part || "cuda:"+part == x.Name() })
			if i < 0 {
				return nil, fmt.Errorf("no device %s here; %%gpu says why", part)
			}
			x := d.known()[i]
			if slices.Contains(targets, x) { // its memory would count twice
				return nil, fmt.Errorf("%s is named twice", x.Name())
			}
			targets = append(targets, x)
		}
	}
	return slices.DeleteFunc(slices.Clone(targets), func(x tensor.Device) bool { return !isCard(x) }), nil
}

func isCard(x tensor.Device) bool { return strings.HasPrefix(x.Name(), "cuda") }
