//go:build linux && cgo

package nvml

import (
	"errors"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/google/go-cmp/cmp"
)

// server is a DGX A100 whose cards also have what the mock leaves out.
func server() *dgxa100.Server {
	s := dgxa100.New()
	for i := range s.Devices {
		d := s.Devices[i].(*dgxa100.Device)
		d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 34, nvml.SUCCESS }
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 56789, nvml.SUCCESS }
		d.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
		d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) {
			return nvml.Utilization{Gpu: 12}, nvml.SUCCESS
		}
		clock := func(base uint32) func(nvml.ClockType) (uint32, nvml.Return) {
			return func(c nvml.ClockType) (uint32, nvml.Return) {
				if c != nvml.CLOCK_SM && c != nvml.CLOCK_MEM {
					return 0, nvml.ERROR_NOT_SUPPORTED
				}
				return base + uint32(c), nvml.SUCCESS
			}
		}
		number := func(n int) func() (int, nvml.Return) {
			return func() (int, nvml.Return) { return n, nvml.SUCCESS }
		}
		d.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) {
			return nvml.PciInfo{Bus: 0xa0 + uint32(i), Device: 4}, nvml.SUCCESS
		}
		d.GetClockInfoFunc, d.GetMaxClockInfoFunc = clock(1000), clock(1400)
		d.GetCurrPcieLinkGenerationFunc, d.GetMaxPcieLinkGenerationFunc = number(1), number(4)
		d.GetCurrPcieLinkWidthFunc, d.GetMaxPcieLinkWidthFunc = number(8), number(16)
		d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
			return []nvml.ProcessInfo{{Pid: 17, UsedGpuMemory: 5 << 20}, {Pid: 18, UsedGpuMemory: ^uint64(0)}}, nvml.SUCCESS
		}
	}
	s.SystemGetProcessNameFunc = func(pid int) (string, nvml.Return) {
		if pid == 17 {
			return "/usr/bin/python3", nvml.SUCCESS
		}
		return "", nvml.ERROR_NOT_FOUND
	}
	return s
}

func TestCards(t *testing.T) {
	got, err := cards(server())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 8 {
		t.Fatalf("%d cards, want the 8 of a DGX A100", len(got))
	}
	uuid := got[3].UUID
	want := Card{Index: 3, Name: "Mock NVIDIA A100-SXM4-40GB", UUID: uuid, Capability: "8.0", Total: 42949672960,
		TempC: 34, PowerW: 56.789, Utilisation: 12, ClockMHz: 1001, MaxClockMHz: 1401, MemoryMHz: 1002, PCI: "0000:a3:04.0",
		PCIeGen: 1, MaxPCIeGen: 4, PCIeWidth: 8, MaxPCIeWidth: 16,
		Processes: []Process{{PID: 17, Name: "/usr/bin/python3", Bytes: 5 << 20}, {PID: 18}}, Driver: "550.54.15", CUDA: "12.4"}
	if d := cmp.Diff(want, got[3]); d != "" {
		t.Error(d)
	}
}

// An old driver lacks functions; calling one would end the process.
func TestOldDriver(t *testing.T) {
	s := server()
	s.ExtensionsFunc = func() nvml.ExtendedInterface {
		return &mock.ExtendedInterface{LookupSymbolFunc: func(string) error { return errors.New("undefined symbol") }}
	}
	s.SystemGetCudaDriverVersionFunc = nil // the mock panics when it is called
	for i := range s.Devices {
		s.Devices[i].(*dgxa100.Device).GetCudaComputeCapabilityFunc = nil
	}
	got, err := cards(s)
	if err != nil || got[0].CUDA != "" || got[0].Capability != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Each reason has its own error and advice, and after a failed Init nothing
// else is called: all other functions of this mock panic.
func TestNoCards(t *testing.T) {
	for _, c := range []struct {
		name string
		lib  *mock.Interface
		want error
	}{
		{"no library", initFails(nvml.ERROR_LIBRARY_NOT_FOUND), ErrNoLibrary},
		{"no driver", initFails(nvml.ERROR_DRIVER_NOT_LOADED), ErrNoDriver},
		{"mismatch", initFails(nvml.ERROR_LIB_RM_VERSION_MISMATCH), ErrMismatch},
		{"no access", initFails(nvml.ERROR_NO_PERMISSION), ErrNoAccess},
		{"other", initFails(nvml.ERROR_UNKNOWN), ErrDriverFail},
		{"no device", &mock.Interface{
			InitFunc:           func() nvml.Return { return nvml.SUCCESS },
			ShutdownFunc:       func() nvml.Return { return nvml.SUCCESS },
			DeviceGetCountFunc: func() (int, nvml.Return) { return 0, nvml.SUCCESS },
		}, ErrNoDevice},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := cards(c.lib)
			if got != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if !strings.HasSuffix(Advice(err), ".") {
				t.Errorf("advice %q is no sentence", Advice(err))
			}
		})
	}
}

func initFails(r nvml.Return) *mock.Interface {
	return &mock.Interface{InitFunc: func() nvml.Return { return r }}
}

func TestHidden(t *testing.T) {
	for _, v := range []string{"", "-1", "-1,0", "NoDevFiles"} {
		t.Setenv("CUDA_VISIBLE_DEVICES", v)
		if _, err := Cards(); !errors.Is(err, ErrHidden) {
			t.Errorf("CUDA_VISIBLE_DEVICES=%q: got %v, want ErrHidden", v, err)
		}
	}
}

func TestAdviceInColab(t *testing.T) {
	t.Setenv("COLAB_RELEASE_TAG", "release-colab_20261101")
	if got := Advice(ErrNoLibrary); !strings.Contains(got, "Runtime → Change runtime type → T4 GPU") {
		t.Errorf("got %q", got)
	}
}
