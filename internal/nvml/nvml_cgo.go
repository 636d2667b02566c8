//go:build linux && cgo

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Cards lists the cards of this machine that CUDA_VISIBLE_DEVICES leaves; it
// returns at least one or an error.
func Cards() ([]Card, error) {
	if err := hidden(); err != nil {
		return nil, err
	}
	return cards(nvml.New())
}

// cards asks n. After a failed Init nothing else may be called: the library's
// functions are resolved lazily, and a missing one ends the process.
func cards(n nvml.Interface) ([]Card, error) {
	if r := n.Init(); r != nvml.SUCCESS {
		return nil, initError(r)
	}
	defer n.Shutdown()
	count, r := n.DeviceGetCount()
	switch {
	case r != nvml.SUCCESS:
		return nil, fmt.Errorf("%w: counting GPUs: %s", ErrDriverFail, nvml.ErrorString(r))
	case count == 0:
		return nil, ErrNoDevice
	}
	// A function that the driver does not have would end the process too.
	has := func(symbol string) bool { return n.Extensions().LookupSymbol(symbol) == nil }
	driver, _ := n.SystemGetDriverVersion()
	cuda := ""
	if has("nvmlSystemGetCudaDriverVersion") { // since driver 396
		if v, r := n.SystemGetCudaDriverVersion(); r == nvml.SUCCESS {
			cuda = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
		}
	}
	capability := has("nvmlDeviceGetCudaComputeCapability") // since driver 384
	var all []Card
	for i := range count {
		d, r := n.DeviceGetHandleByIndex(i)
		if r != nvml.SUCCESS {
			return nil, fmt.Errorf("%w: GPU %d: %s", ErrDriverFail, i, nvml.ErrorString(r))
		}
		c := card(i, d)
		c.Processes = processes(n, d)
		c.Driver, c.CUDA = driver, cuda
		if capability {
			if major, minor, r := d.GetCudaComputeCapability(); r == nvml.SUCCESS {
				c.Capability = fmt.Sprintf("%d.%d", major, minor)
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// initError says why there is no NVML.
func initError(r nvml.Return) error {
	switch r {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return ErrNoLibrary
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return ErrNoDriver
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return ErrMismatch
	case nvml.ERROR_NO_PERMISSION:
		return ErrNoAccess
	case nvml.ERROR_NOT_FOUND, nvml.ERROR_GPU_IS_LOST:
		return fmt.Errorf("%w: %s", ErrNoDevice, nvml.ErrorString(r))
	}
	return fmt.Errorf("%w: starting NVML: %s", ErrDriverFail, nvml.ErrorString(r))
}

// card reads what every driver that llcuda can meet tells: these functions are
// older than the oldest cards that it runs on, so none has to be looked up.
func card(i int, d nvml.Device) Card {
	c := Card{Index: i, TempC: -1, Utilisation: -1}
	if name, r := d.GetName(); r == nvml.SUCCESS {
		c.Name = name
	}
	if id, r := d.GetUUID(); r == nvml.SUCCESS {
		c.UUID = id
	}
	if m, r := d.GetMemoryInfo(); r == nvml.SUCCESS {
		c.Total, c.Used, c.Free = int64(m.Total), int64(m.Used), int64(m.Free)
	}
	if t, r := d.GetTemperature(nvml.TEMPERATURE_GPU); r == nvml.SUCCESS {
		c.TempC = int(t)
	}
	if mw, r := d.GetPowerUsage(); r == nvml.SUCCESS {
		c.PowerW = float64(mw) / 1000
	}
	if mw, r := d.GetEnforcedPowerLimit(); r == nvml.SUCCESS {
		c.PowerLimitW = float64(mw) / 1000
	}
	if u, r := d.GetUtilizationRates(); r == nvml.SUCCESS {
		c.Utilisation = int(u.Gpu)
	}
	if p, r := d.GetPciInfo(); r == nvml.SUCCESS {
		c.PCI = fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
	}
	mhz := func(get func(nvml.ClockType) (uint32, nvml.Return), clock nvml.ClockType) int {
		v, r := get(clock)
		if r != nvml.SUCCESS {
			return 0
		}
		return int(v)
	}
	c.ClockMHz, c.MaxClockMHz = mhz(d.GetClockInfo, nvml.CLOCK_SM), mhz(d.GetMaxClockInfo, nvml.CLOCK_SM)
	c.MemoryMHz = mhz(d.GetClockInfo, nvml.CLOCK_MEM)
	number := func(get func() (int, nvml.Return)) int {
		v, r := get()
		if r != nvml.SUCCESS {
			return 0
		}
		return v
	}
	c.PCIeGen, c.PCIeWidth = number(d.GetCurrPcieLinkGeneration), number(d.GetCurrPcieLinkWidth)
	c.MaxPCIeGen, c.MaxPCIeWidth = number(d.GetMaxPcieLinkGeneration), number(d.GetMaxPcieLinkWidth)
	return c
}

// processes lists who computes on a card. go-nvml takes the newest form of the
// question that the driver has.
func processes(n nvml.Interface, d nvml.Device) (all []Process) {
	list, r := d.GetComputeRunningProcesses()
	if r != nvml.SUCCESS {
		return nil
	}
	for _, p := range list {
		q := Process{PID: int(p.Pid)}
		if p.UsedGpuMemory < 1<<62 { // else: not available
			q.Bytes = int64(p.UsedGpuMemory)
		}
		if name, r := n.SystemGetProcessName(q.PID); r == nvml.SUCCESS {
			q.Name = name
		}
		all = append(all, q)
	}
	return all
}
