package magics

import (
	"context"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "gpu", Args: "[use N|cpu|auto | reset]", Doc: "shows the GPUs, chooses one, or measures it", Line: true,
		Help: `%gpu                    memory, clocks, temperature, power, processes, the kernels in use
%gpu --watch 10         the same live, for so many seconds; without a number until it is interrupted
%gpu use 1              new tensors and models go to the second GPU
%gpu use cpu            and to the CPU; %gpu use auto is how it was at first: all GPUs, or the CPU
%gpu reset              closes and opens the GPUs, after a failure of one: its models and tensors are gone
%gpu bench attention    time and memory of attention over the length of the context, plotted
Where there is no GPU it says why, and what to do about it.`,
		Flags: func(f *pflag.FlagSet) {
			f.Bool("json", false, "print JSON")
			f.Bool("watch", false, "show it anew every second")
			f.Int("ctx", 0, "longest context of bench attention in `tokens`")
		},
		Run: gpu,
		Complete: func(in *Interpreter, c Completing) []string {
			switch {
			case len(c.Words) == 0:
				return []string{"use", "reset", "bench"}
			case c.Words[0] == "bench":
				return []string{"attention"}
			case c.Words[0] == "use":
				names := []string{"auto", "cpu"}
				for _, d := range in.devices.known() {
					if number, ok := strings.CutPrefix(d.Name(), "cuda:"); ok {
						names = append(names, number)
					}
				}
				return names
			}
			return nil
		}})
}

func gpu(ctx context.Context, c *Call) error {
	watch, _ := c.Flags.GetBool("watch")
	asJSON, _ := c.Flags.GetBool("json")
	switch {
	case len(c.Args) > 0 && c.Args[0] == "use":
		return useDevice(c)
	case len(c.Args) == 1 && c.Args[0] == "reset":
		return resetDevices(c)
	case len(c.Args) > 0 && c.Args[0] == "bench":
		if len(c.Args) != 2 || c.Args[1] != "attention" {
			return c.usage("want bench attention")
		}
		return benchAttention(ctx, c)
	case watch:
		return watchGPU(ctx, c)
	}
	if err := c.atMost(0); err != nil {
		return err
	}
	cards, err := c.cards()
	if asJSON {
		return printJSON(c, GPUReport(cards, err))
	}
	c.Display.Show(gpuBundle(cards, err))
	return nil
}

// cards are the machine's, with the failures of those that are open.
func (in *Interpreter) cards() ([]nvml.Card, error) {
	cards, err := in.o.GPU()
	for i := range cards {
		for _, d := range in.devices.known() {
			if failed := failure(d); failed != nil && d.Name() == cards[i].Device {
				cards[i].Problem = fmt.Sprintf("it has failed: %v", failed)
			}
		}
	}
	return cards, err
}

// useDevice makes a device the one for new tensors and models.
func useDevice(c *Call) error {
	if len(c.Args) != 2 {
		return c.usage("want use and one of auto, cpu, or a GPU's number")
	}
	name := c.Args[1]
	if name != "auto" && name != "cpu" {
		n, err := strconv.ParseUint(strings.TrimPrefix(name, "cuda:"), 10, 16)
		if err != nil {
			return c.usage("use %s: want auto, cpu, or a GPU's number", name)
		}
		name = fmt.Sprintf("cuda:%d", n)
	}
	if err := c.devices.use(name); err != nil {
		return &jupyter.Error{Name: "DeviceError", Value: err.Error()}
	}
	c.env.Devices = c.devices.all()
	why := ""
	for _, d := range c.devices.targets() {
		if failure(d) != nil {
			why += fmt.Sprintf("; %s has failed: %%gpu reset opens it anew, without its models and tensors", d.Name())
		}
	}
	if err := c.devices.why(); err != nil && name == "auto" {
		why = ": there is no GPU here (%gpu says why)"
	}
	fmt.Fprintf(c.Display.Stdout(), "new tensors and models go to %s%s\n", deviceNames(c.devices.targets()), why)
	return nil
}

// resetDevices closes the cards and opens them again. What lies on them is
// deleted; errors of a card that has failed do not matter any more.
func resetDevices(c *Call) error {
	gone := c.models.onCards()
	for _, name := range gone {
		c.models.remove(name)
	}
	for _, d := range c.devices.known() {
		if d.Name() != "cpu" {
			gone = append(gone, c.env.Leave(d)...)
		}
	}
	err := c.devices.close()
	c.env.Devices = c.devices.all()
	if err == nil {
		err = c.devices.why()
	}
	if err != nil {
		return &jupyter.Error{Name: "DeviceError", Value: fmt.Sprintf("%v; if it stays so, restart the kernel", err)}
	}
	text := ""
	if len(gone) > 0 {
		text = "; deleted: " + strings.Join(gone, ", ")
	}
	fmt.Fprintf(c.Display.Stdout(), "new tensors and models go to %s%s\n", deviceNames(c.devices.targets()), text)
	return nil
}

func deviceNames(devices []tensor.Device) string {
	var names []string
	for _, d := range devices {
		names = append(names, d.Name())
	}
	return strings.Join(names, " and ")
}

// watchGPU shows the cards every second in one display, until it is
// interrupted or its time is over; once where nobody watches.
func watchGPU(ctx context.Context, c *Call) error {
	if err := c.atMost(1); err != nil {
		return err
	}
	over := make(<-chan time.Time)
	if len(c.Args) > 0 {
		n, err := strconv.ParseFloat(c.Args[0], 64)
		if err != nil || !(n > 0 && n < 1e9) {
			return c.usage("--watch %s: want seconds", c.Args[0])
		}
		over = time.After(time.Duration(n * float64(time.Second)))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var cards live
	cards.show(c.Display, gpuBundle(c.cards()))
	for c.Display.Interactive() {
		select {
		case <-ctx.Done(): // the usual end of a watch, but the cell's interrupt all the same
			return ctx.Err()
		case <-over:
			return nil
		case <-tick.C:
			cards.show(c.Display, gpuBundle(c.cards()))
		}
	}
	return nil
}

// GPUReport is what --json prints: the cards, or why there are none and what
// to do about it.
func GPUReport(cards []nvml.Card, err error) any {
	out := struct {
		GPUs  []nvml.Card `json:"gpus"`
		Error string      `json:"error,omitempty"`
		Hint  string      `json:"hint,omitempty"`
	}{GPUs: append([]nvml.Card{}, cards...)}
	if err != nil {
		out.Error, out.Hint = err.Error(), nvml.Advice(err)
	}
	return out
}

var noGPUHTML = template.Must(template.New("nogpu").Parse(
	`<div><b>No GPU:</b> {{.Reason}}.<br>{{.Advice}}<br><span style="opacity:.75">{{.CPU}}</span></div>`))

// GPUText is what %gpu shows, as text: the cards, or why there are none.
func GPUText(cards []nvml.Card, err error) string {
	return gpuBundle(cards, err)["text/plain"].(string)
}

func gpuBundle(cards []nvml.Card, err error) jupyter.Bundle {
	if err != nil {
		const cpu = "Everything works on the CPU meanwhile, only slower."
		advice := nvml.Advice(err)
		return jupyter.Bundle{
			"text/plain": fmt.Sprintf("no GPU: %v\n%s\n%s\n", err, advice, cpu),
			"text/html":  renderHTML(noGPUHTML, struct{ Reason, Advice, CPU string }{err.Error(), advice, cpu}),
		}
	}
	t := table{Head: []string{"GPU", "compute", "memory used", "by us", "free", "total", "clock", "temperature", "power", "load", "PCIe"}}
	for _, c := range cards {
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%d %s", c.Index, c.Name), compute(c), memory(c.Used, c.Free), gib(c.Ours), memory(c.Free, c.Used), gib(c.Total),
			clock(c), unit(c.TempC, "°C"), watts(c), unit(c.Utilisation, "%"), pcie(c)})
	}
	t.Note = strings.Join(gpuNotes(cards), "\n")
	return jupyter.Bundle{"text/plain": t.text(), "text/html": t.html()}
}

// gpuNotes are the lines below the table: what llcuda runs, who else computes,
// the driver.
func gpuNotes(cards []nvml.Card) (notes []string) {
	for _, c := range cards {
		name := c.Device
		if name == "" {
			name = fmt.Sprintf("GPU %d", c.Index)
		}
		switch {
		case c.Problem != "":
			notes = append(notes, fmt.Sprintf("%s is not used: %s", name, c.Problem))
		case c.Kernels != "":
			notes = append(notes, fmt.Sprintf("%s runs %s", name, c.Kernels))
		}
		for _, p := range c.Processes {
			notes = append(notes, strings.TrimSpace(fmt.Sprintf("%s: process %d %s", name, p.PID, p.Name))+", "+processMemory(p))
		}
	}
	if cards[0].Driver != "" {
		notes = append(notes, "driver "+cards[0].Driver)
	}
	if cards[0].CUDA != "" {
		if cards[0].Driver == "" {
			return append(notes, "the driver takes CUDA up to "+cards[0].CUDA)
		}
		notes[len(notes)-1] += ", takes CUDA up to " + cards[0].CUDA
	}
	return notes
}

func processMemory(p nvml.Process) string {
	if p.Bytes == 0 {
		return "memory not known"
	}
	return gib(p.Bytes)
}

func compute(c nvml.Card) string {
	s := known(c.Capability)
	if c.SMs > 0 {
		s += fmt.Sprintf(", %d SMs", c.SMs)
	}
	return s
}

func clock(c nvml.Card) string {
	switch {
	case c.ClockMHz == 0 && c.MaxClockMHz == 0:
		return "?"
	case c.ClockMHz == 0:
		return fmt.Sprintf("up to %d MHz", c.MaxClockMHz)
	case c.MaxClockMHz == 0:
		return fmt.Sprintf("%d MHz", c.ClockMHz)
	}
	return fmt.Sprintf("%d of %d MHz", c.ClockMHz, c.MaxClockMHz)
}

func pcie(c nvml.Card) string {
	if c.PCIeGen == 0 {
		return "?"
	}
	s := fmt.Sprintf("%d.0 ×%d", c.PCIeGen, c.PCIeWidth)
	if c.MaxPCIeGen > c.PCIeGen || c.MaxPCIeWidth > c.PCIeWidth {
		s += fmt.Sprintf(" (up to %d.0 ×%d)", c.MaxPCIeGen, c.MaxPCIeWidth)
	}
	return s
}

func known(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

// memory shows one of two parts of a card's memory, unless both are unknown.
func memory(n, other int64) string {
	if n == 0 && other == 0 {
		return "?"
	}
	return gib(n)
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

func unit(n int, what string) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func watts(c nvml.Card) string {
	if c.PowerW == 0 {
		return "?"
	}
	s := fmt.Sprintf("%.0f", c.PowerW)
	if c.PowerLimitW > 0 {
		s += fmt.Sprintf(" of %.0f", c.PowerLimitW)
	}
	return strings.TrimSpace(s) + " W"
}
