package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/kernels"
	"github.com/llcuda/llcuda/tensor"
)

// cards opens all cards of this machine that llcuda can use, the first time
// that it is called: a command that needs none does not wait for a driver. No
// card is an error; a card that cannot be used is left out with a note.
var cards = sync.OnceValues(openCards)

// opened are the cards that are open by now, unopened says why others are not.
var (
	opened   atomic.Pointer[[]tensor.Device]
	unopened sync.Map // "cuda:0": error
)

func openCards() ([]tensor.Device, error) {
	n, err := kernels.Count()
	if err != nil {
		return nil, err
	}
	var all []tensor.Device
	var failed error
	for i := range n {
		d, err := kernels.Open(i)
		unopened.Delete(fmt.Sprintf("cuda:%d", i))
		if err != nil {
			unopened.Store(fmt.Sprintf("cuda:%d", i), err)
			failed = errors.Join(failed, err)
			continue
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, failed
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "llcuda:", failed)
	}
	opened.Store(&all)
	return all, nil
}

// A card is a device with what only cards have.
type card interface {
	tensor.Device
	Info() cuda.DeviceInfo
	Image() string                               // which form of the kernels it runs
	Time(do func() error) (time.Duration, error) // on the card, of what do issues
	Used() int64                                 // bytes that it has taken
	StreamRead(bytes int64) (float64, error)     // GB/s of its memory
}

// deviceFlag is --device: auto, cpu, or one or several cards.
type deviceFlag string

func (d *deviceFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(d), "device", "auto", "auto (all cards, or the CPU where there are none), cpu, cuda:0, or cuda:0,cuda:1")
}

// cards are those that the flag names: none for cpu, and for auto where there
// are none or none is of use, which is then said on standard error.
func (d deviceFlag) cards(cmd *cobra.Command) ([]tensor.Device, error) {
	switch d {
	case "cpu":
		return nil, nil
	case "auto", "":
		all, err := cards()
		if err != nil && !noCard(err) {
			fmt.Fprintf(cmd.ErrOrStderr(), "llcuda: the CPU is used: %v\n", err)
		}
		return all, nil
	}
	var names []string
	for name := range strings.SplitSeq(string(d), ",") {
		number, ok := strings.CutPrefix(name, "cuda")
		i, err := strconv.Atoi(strings.TrimPrefix(number, ":"))
		if number == "" {
			i, err = 0, nil
		}
		if !ok || err != nil || i < 0 {
			return nil, usageError{fmt.Errorf("--device %q: want auto, cpu, cuda:0, or several as cuda:0,cuda:1", string(d))}
		}
		if name = fmt.Sprintf("cuda:%d", i); slices.Contains(names, name) { // its memory would count twice
			return nil, usageError{fmt.Errorf("--device %q names %s twice", string(d), name)}
		}
		names = append(names, name)
	}
	var some []tensor.Device
	for _, name := range names {
		all, err := cards()
		if err != nil {
			return nil, fmt.Errorf("--device %s: %w", name, err)
		}
		at := findCard(all, name)
		if at == nil {
			return nil, fmt.Errorf("--device %s: there is no such card; llcuda gpu lists them", name)
		}
		some = append(some, at)
	}
	return some, nil
}

// noCard says whether an error is only that there is no card to be used.
func noCard(err error) bool {
	return errors.Is(err, cuda.ErrNoDriver) || errors.Is(err, cuda.ErrNoDevice) || errors.Is(err, cuda.ErrHidden)
}

func findCard(all []tensor.Device, name string) tensor.Device {
	for _, d := range all {
		if d.Name() == name {
			return d
		}
	}
	return nil
}
