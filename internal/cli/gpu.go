package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/install"
	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/kernels"
	"github.com/llcuda/llcuda/magics"
)

// newGPU lists the cards, or says exactly why there are none.
func newGPU() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "gpu [--watch [SECONDS]]",
		Short: "The NVIDIA cards and their state, or why there are none",
		Long: `GPU shows the cards: memory, clocks, temperature, power, processes, and whether and
with which form of the kernels llcuda runs on them. --watch shows them anew every
second until it is interrupted, or for so many SECONDS; once where there are none.`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := func() (string, bool, error) {
				all, none := gpuCards()
				if asJSON {
					var b strings.Builder
					err := encodeJSON(&b, magics.GPUReport(all, none))
					return b.String(), none == nil, err
				}
				return strings.TrimRight(magics.GPUText(all, none), "\n") + "\n", none == nil, nil
			}
			if !watch {
				if len(args) > 0 {
					return usageError{fmt.Errorf("gpu: %q: seconds belong to --watch", args[0])}
				}
				text, _, err := show()
				if err == nil {
					_, err = io.WriteString(cmd.OutOrStdout(), text)
				}
				return err
			}
			var seconds time.Duration
			if len(args) > 0 {
				n, err := strconv.ParseFloat(args[0], 64)
				if err != nil || !(n > 0 && n < 1e9) {
					return usageError{fmt.Errorf("gpu: --watch %s: want seconds", args[0])}
				}
				seconds = time.Duration(n * float64(time.Second))
			}
			return watchGPU(cmd.Context(), cmd.OutOrStdout(), seconds, asJSON || !isTerminal(cmd.OutOrStdout()), show)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it anew every second")
	return cmd
}

// watchGPU writes what show returns every second, over what it wrote before or,
// where below is true, below that: in files and pipes. An interrupt is its usual
// end; show's false, that there are no cards, is another.
func watchGPU(ctx context.Context, w io.Writer, seconds time.Duration, below bool, show func() (text string, cards bool, err error)) error {
	if seconds > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, seconds)
		defer cancel()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for above := 0; ; {
		text, cards, err := show()
		if err != nil {
			return err
		}
		if above > 0 && !below {
			fmt.Fprintf(w, "\x1b[%dA\x1b[J", above) // up, and clear to the end (ECMA-48, CUU and ED)
		}
		if _, err := io.WriteString(w, text); err != nil || !cards {
			return err
		}
		above = strings.Count(text, "\n")
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// gpuCards are the cards as the driver's management library and CUDA see them,
// put together. Where only one of the two works, its view counts.
func gpuCards() ([]nvml.Card, error) {
	all, err := nvml.Cards()
	infos, cudaErr := kernels.Infos()
	if err != nil && len(infos) == 0 {
		unasked := errors.Is(err, nvml.ErrNoSupport) || errors.Is(err, nvml.ErrNoLibrary) && !errors.Is(cudaErr, cuda.ErrNoDriver)
		if errors.Is(err, nvml.ErrHidden) || noCard(cudaErr) && !unasked {
			return nil, err
		}
		return nil, cudaErr
	}
	if err != nil { // no NVML: an odd platform
		for _, i := range infos {
			all = append(all, nvml.Card{Index: i.Ordinal, Name: i.Name, PCI: i.PCI, Capability: i.Capability(), Total: i.Memory,
				MaxClockMHz: i.ClockKHz / 1000, TempC: -1, Utilisation: -1, CUDA: i.Driver})
		}
	}
	for n := range all {
		c := &all[n]
		c.Problem = "CUDA does not see it"
		if cudaErr != nil {
			c.Problem = cudaErr.Error()
		} else if v := os.Getenv("CUDA_VISIBLE_DEVICES"); v != "" {
			c.Problem = fmt.Sprintf("CUDA_VISIBLE_DEVICES=%s hides it", v)
		}
		for _, i := range infos {
			if strings.EqualFold(i.PCI, c.PCI) {
				join(c, i)
			}
		}
	}
	return all, nil
}

// join adds what CUDA and the open devices know of a card.
func join(c *nvml.Card, i cuda.DeviceInfo) {
	c.Device, c.SMs, c.Problem = fmt.Sprintf("cuda:%d", i.Ordinal), i.SMs, ""
	if i.Major < cuda.OldestMajor || i.Major == cuda.OldestMajor && i.Minor < cuda.OldestMinor {
		c.Problem = fmt.Sprintf("its compute capability is below %d.%d, the oldest that llcuda has kernels for", cuda.OldestMajor, cuda.OldestMinor)
		return
	}
	if err, ok := unopened.Load(c.Device); ok {
		c.Problem = fmt.Sprint(err)
		return
	}
	c.Kernels = kernels.ImageFor(i)
	if list := opened.Load(); list != nil {
		if d, ok := findCard(*list, c.Device).(card); ok {
			c.Kernels, c.Ours = d.Image(), d.Used()
			if c.Used == 0 && c.Free == 0 {
				free, total := d.Memory()
				c.Free, c.Used = free, total-free
			}
		}
	}
}

// gpuCheck is doctor's line about cards. None is not a failure: the CPU works.
// Cards that are all of no use are.
func gpuCheck() install.Check {
	all, err := gpuCards()
	if err != nil {
		return install.Check{Name: "gpu", OK: true, Detail: fmt.Sprintf("none: %v; the CPU is used", err), Hint: nvml.Advice(err)}
	}
	c := install.Check{Name: "gpu"}
	var lines []string
	for _, g := range all {
		if g.Problem == "" {
			c.OK = true
			lines = append(lines, fmt.Sprintf("%s: %s, compute capability %s, %.0f GiB, kernels: %s", g.Device, g.Name, g.Capability, float64(g.Total)/(1<<30), g.Kernels))
		} else {
			lines = append(lines, fmt.Sprintf("%s is not used: %s", g.Name, g.Problem))
		}
	}
	if !c.OK {
		c.Hint = "llcuda works on the CPU meanwhile"
	}
	c.Detail = strings.Join(lines, "; ")
	if all[0].Driver != "" {
		c.Detail += ", driver " + all[0].Driver
	}
	return c
}
