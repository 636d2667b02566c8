package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "gpu", Doc: "shows the GPUs: memory, driver, temperature, power", Line: true,
		Help:  "Where there is no GPU it says why, and what to do about it.",
		Flags: func(f *pflag.FlagSet) { f.Bool("json", false, "print JSON") },
		Run: func(_ context.Context, c *Call) error {
			if err := c.atMost(0); err != nil {
				return err
			}
			cards, err := c.o.GPU()
			if asJSON, _ := c.Flags.GetBool("json"); asJSON {
				return gpuJSON(c, cards, err)
			}
			c.Display.Show(gpuBundle(cards, err))
			return nil
		}})
}

// gpuJSON prints the cards, an empty list where there are none.
func gpuJSON(c *Call, cards []nvml.Card, err error) error {
	out := struct {
		GPUs   []nvml.Card `json:"gpus"`
		Reason string      `json:"reason,omitempty"`
	}{GPUs: append([]nvml.Card{}, cards...)}
	if err != nil {
		out.Reason = err.Error()
	}
	return json.NewEncoder(c.Display.Stdout()).Encode(out)
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
	t := table{Head: []string{"GPU", "compute", "memory used", "free", "total", "temperature", "power", "load"}}
	for _, c := range cards {
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%d %s", c.Index, c.Name), known(c.Capability), gib(c.Used), gib(c.Free), gib(c.Total),
			unit(c.TempC, "°C"), watts(c), unit(c.Utilisation, "%")})
	}
	t.Note = "driver " + known(cards[0].Driver)
	if cards[0].CUDA != "" {
		t.Note += ", takes CUDA up to " + cards[0].CUDA
	}
	return jupyter.Bundle{"text/plain": t.text(), "text/html": t.html()}
}

func known(s string) string {
	if s == "" {
		return "?"
	}
	return s
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
