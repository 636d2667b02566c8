package magics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// A named device is the CPU under a card's name.
type named struct {
	slow
	name string
}

func (n *named) Name() string { return n.name }

func (n *named) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	t, err := n.Device.New(d, shape...)
	return n.own(t, err)
}

func (n *named) Place(name string, d tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	t, err := n.Device.Place(name, d, shape, data)
	return n.own(t, err)
}

func (n *named) own(t *tensor.Tensor, err error) (*tensor.Tensor, error) {
	if t != nil {
		t.Device = n
	}
	return t, err
}

func (n *named) Compile(ops []tensor.Op) (tensor.Program, error) { return n.Device.Compile(ops) }

// withCards is an interpreter on a machine of two cards, and how often they
// were opened.
func withCards(t *testing.T) (*Interpreter, *int) {
	t.Helper()
	in, opened := newTestInterpreter(t), 0
	in.devices.open = func() ([]tensor.Device, error) {
		opened++
		var all []tensor.Device
		for i := range 2 {
			all = append(all, &named{slow{cpu.Default()}, fmt.Sprintf("cuda:%d", i)})
		}
		return all, nil
	}
	return in, &opened
}

// TestUse: tensors and models go to the first card, or where %gpu use says;
// cards are opened once, and not before they are needed.
func TestUse(t *testing.T) {
	in, opened := withCards(t)
	run(in, "%lsmagic")
	run(in, "%gguf show demo")
	if *opened != 0 {
		t.Error("cards were opened that nobody asked for")
	}
	for _, c := range []struct{ code, want string }{
		{"%tensor A = ones(2)\n%tensor A.device", "cuda:0"},
		{"%tensor A.to(cpu).device", "cpu"},
		{"%load demo", ", on cuda:0, in"},
		{"%load demo", "\ncuda:0: 4 of 4 layers"},
		{"%infer Once --max-tokens 3 --temperature 0", "tokens/s"},
		{"%load demo --device cuda:1", ", on cuda:1, in"},
		{"%load demo --gpu-layers 2", ", on cpu+cuda:0, in"},
		{"%infer Once --max-tokens 3 --temperature 0", "tokens/s"},
		{"%load demo --gpu-layers 0", ", on cpu, in"},
		{"%load demo --device cpu", ", on cpu, in"},
		{"%load demo --device cuda:7", "no device cuda:7 here"},
		{"%load demo --device cuda:1,1", "cuda:1 is named twice"},
		{"%gpu use 1", "new tensors and models go to cuda:1"},
		{"%tensor ones(2).device", "cuda:1"},
		{"%tensor A + ones(2)", "bring them together with .to('cuda:0')"},
		{"%load demo", ", on cuda:1, in"},
		{"%load demo --device cpu --gpu-layers 9", "leave one of them out"},
		{"%gpu use cpu", "go to cpu"},
		{"%load demo --gpu-layers 9", "demo: 9 layers on a GPU: %gpu use cpu has put models on the CPU; %gpu use auto takes the GPUs again"},
		{"%tensor ones(2).device", "cpu"},
		{"%load demo", ", on cpu, in"},
		{"%gpu use 5", "no device cuda:5 here, only cuda:0, cuda:1, cpu"},
		{"%gpu use auto", "go to cuda:0 and cuda:1"},
		{"%load demo", ", on cuda:0, in"},
		{"%gpu use", "UsageError"},
		{"%gpu use -1", "%gpu: -1: no number below 0"},
		{"%gpu use 1,2", "use 1,2: want auto, cpu, or a GPU's number"},
		{"%gpu use 1 2", "want use and one of"},
		{"%gpu use cuda:1", "go to cuda:1"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", c.code, got, c.want)
		}
	}
	if *opened != 1 {
		t.Errorf("cards were opened %d times", *opened)
	}
}

// TestNoCards: without cards everything is on the CPU, and who asks for one is
// told why there is none.
func TestNoCards(t *testing.T) {
	in := newTestInterpreter(t)
	in.devices.open = func() ([]tensor.Device, error) { return nil, errors.New("the driver is too old") }
	for _, c := range []struct{ code, want string }{
		{"%tensor ones(2).device", "cpu"},
		{"%load demo", ", on cpu, in"},
		{"%gpu use 0", "no device cuda:0: the driver is too old"},
		{"%gpu use foo", "use foo: want auto, cpu, or a GPU's number"},
		{"%load demo --gpu-layers 4", "no GPU is in use; load without GPU layers to run on the CPU; %gpu says what is missing"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", c.code, got, c.want)
		}
	}
}

// A full card is one with no memory free.
type full struct{ *named }

func (full) Memory() (int64, int64) { return 1 << 10, 1 << 30 }

// TestWhyCPU: a model that is on the CPU for want of a card says what is wrong
// with the cards; the former model of its name, freed for its sake, is told of.
func TestWhyCPU(t *testing.T) {
	in := newTestInterpreter(t)
	in.devices.open = func() ([]tensor.Device, error) {
		return []tensor.Device{full{&named{slow{cpu.Default()}, "cuda:0"}}}, nil
	}
	if got := run(in, "%load demo"); !strings.Contains(got, "cuda:0 has 1.0 kB free, too little for a layer") {
		t.Errorf("a full card: %s", got)
	}
	if got := run(in, "%load demo --gpu-layers 0"); strings.Contains(got, "cuda:0") {
		t.Errorf("the CPU was asked for: %s", got)
	}
	in = newTestInterpreter(t)
	in.devices.open = func() ([]tensor.Device, error) { return nil, errors.New("another process has it") }
	in.o.GPU = func() ([]nvml.Card, error) {
		return []nvml.Card{{Device: "cuda:0", Problem: "another process has it"}}, nil
	}
	if got := run(in, "%load demo"); !strings.Contains(got, "cuda:0 is not used: another process has it") {
		t.Errorf("a card that is taken: %s", got)
	}
	in, _ = withCards(t)
	if got := run(in, "%load demo\n%load demo --ctx 100000000"); !strings.Contains(got, "; the former demo was freed before") {
		t.Errorf("a context that cannot be: %s", got)
	}
}

// A broken card is one that has failed.
type broken struct{ *named }

var errBroken = errors.New("the launch timed out; %gpu reset opens it anew")

func (broken) Memory() (int64, int64) { return 0, 0 }
func (broken) Failed() error          { return errBroken }

// TestFailedCard: what a card has failed of is told wherever it is not used.
func TestFailedCard(t *testing.T) {
	in := newTestInterpreter(t)
	in.devices.open = func() ([]tensor.Device, error) {
		return []tensor.Device{broken{&named{slow{cpu.Default()}, "cuda:0"}}}, nil
	}
	in.o.GPU = func() ([]nvml.Card, error) {
		return []nvml.Card{{Device: "cuda:0", Kernels: "sm_80 machine code"}}, nil
	}
	const reason = "failed: the launch timed out; %gpu reset opens it anew"
	for _, c := range []struct{ code, want string }{
		{"%load demo", "on cpu, in"},
		{"%load demo", "\ncuda:0 has " + reason},
		{"%load demo --gpu-layers 2", "error: ModelError: cuda:0 has " + reason},
		{"%gpu", "\ncuda:0 is not used: it has " + reason},
		{"%gpu use auto", "go to cuda:0; cuda:0 has failed: %gpu reset"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) || strings.Contains(got, "free, too little") {
			t.Errorf("%s: %q lacks %q", c.code, got, c.want)
		}
	}
}

// TestWatch: one display, updated until the time is over or an interrupt.
func TestWatch(t *testing.T) {
	in := newTestInterpreter(t)
	asked := 0
	in.o.GPU = func() ([]nvml.Card, error) {
		asked++
		return []nvml.Card{{Name: "Tesla T4", Utilisation: asked}}, nil
	}
	if got := run(in, "%gpu --watch"); asked != 1 || strings.Count(got, "display_data") != 1 {
		t.Errorf("headless: asked %d times: %s", asked, got)
	}
	r := &recorder{live: true}
	got := runWith(context.Background(), in, r, "%gpu --watch 1.5")
	if strings.Count(got, "display_data: ") != 2 || strings.Count(got, "update_display_data: ") != 1 || strings.Contains(got, "error") {
		t.Errorf("for 1.5 s:\n%s", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if got := runWith(ctx, in, &recorder{live: true}, "%gpu --watch"); !strings.Contains(got, "KeyboardInterrupt") || time.Since(start) > 5*time.Second {
		t.Errorf("interrupted: %s", got)
	}
	if got := run(in, "%gpu --watch soon"); !strings.Contains(got, "want seconds") {
		t.Error(got)
	}
}

func TestBenchAttention(t *testing.T) {
	in := newTestInterpreter(t)
	got := run(in, "%gpu bench attention --ctx 1024")
	for _, want := range []string{"context", "512 ", "1024 ", "attention on cpu", "no GPU here"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	for _, bad := range []string{"%gpu bench", "%gpu bench matmul", "%gpu bench attention --ctx 3"} {
		if got := run(in, bad); !strings.Contains(got, "UsageError") {
			t.Errorf("%s: %s", bad, got)
		}
	}
	points := []attentionPoint{{512, time.Microsecond, time.Millisecond, 1 << 20}, {1024, 2 * time.Microsecond, 4 * time.Millisecond, 2 << 20}}
	svg := attentionSVG("a title", points)
	if strings.Count(svg, "<circle") != 6 || !strings.HasSuffix(svg, "</svg>") || strings.Contains(svg, "NaN") {
		t.Error(svg)
	}
}

// TestReload: on a card the former model of a name makes room before the next
// one is loaded.
func TestReload(t *testing.T) {
	in, _ := withCards(t)
	run(in, "%load demo")
	run(in, "%infer Once --max-tokens 2")
	first, err := in.models.find("demo")
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	in.o.LoadOptions = func(*engine.Options) {
		_, err := first.model.NewSession()
		closed = err != nil
	}
	if got := run(in, "%load demo --ctx 128"); !closed || !strings.Contains(got, "context 128, on cuda:0") {
		t.Errorf("closed before: %v; %s", closed, got)
	}
	if got := run(in, "%infer Once --max-tokens 2"); !strings.Contains(got, "2 new tokens") {
		t.Error(got)
	}
}

// TestReset: cards are opened anew; what was on them is gone, the rest stays.
func TestReset(t *testing.T) {
	in, opened := withCards(t)
	run(in, "%load demo")
	run(in, "%load demo --device cpu --as here")
	run(in, "%tensor A = ones(2)\n%tensor B = ones(3).to(cpu)\n%tensor L = A + 1")
	got := run(in, "%gpu reset")
	if !strings.Contains(got, "go to cuda:0 and cuda:1; deleted: demo, A, L") || *opened != 2 {
		t.Errorf("%s, opened %d times", got, *opened)
	}
	for _, c := range []struct{ code, want string }{
		{"%tensor B", "tensor([1., 1., 1.], device='cpu')"},
		{"%tensor A", "no variable A"},
		{"%tensor ones(2)", "device='cuda:0'"},
		{"%infer Once --max-tokens 2", "2 new tokens"},
		{"%unload demo", "no loaded model is called demo"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", c.code, got, c.want)
		}
	}
}
