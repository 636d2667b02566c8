package cuda

import (
	"errors"
	"fmt"
	"unsafe"
)

// Oldest is the compute capability that the kernels need: 7.5, Turing.
const (
	OldestMajor = 7
	OldestMinor = 5
)

// DeviceInfo is what the driver says about a card.
type DeviceInfo struct {
	Ordinal        int    `json:"ordinal"`
	Name           string `json:"name"` // "Tesla T4"
	Major          int    `json:"major"`
	Minor          int    `json:"minor"` // compute capability
	SMs            int    `json:"sms"`
	ClockKHz       int    `json:"clock_khz"`
	MemoryClockKHz int    `json:"memory_clock_khz"`
	BusBits        int    `json:"memory_bus_bits"`
	Memory         int64  `json:"memory_bytes"`
	L2             int    `json:"l2_bytes"`
	SharedPerBlock int    `json:"shared_per_block_bytes"` // at most, by opting in
	SharedPerSM    int    `json:"shared_per_sm_bytes"`
	RegistersPerSM int    `json:"registers_per_sm"`
	ThreadsPerSM   int    `json:"threads_per_sm"`
	Cooperative    bool   `json:"cooperative"` // grids whose blocks wait for each other
	Integrated     bool   `json:"integrated"`  // shares the host's memory
	PCI            string `json:"pci"`         // "0000:00:04.0"
	Driver         string `json:"driver_cuda"` // newest CUDA that the driver takes: "12.4"
}

// Capability is the compute capability: "7.5".
func (i DeviceInfo) Capability() string { return fmt.Sprintf("%d.%d", i.Major, i.Minor) }

// Bandwidth is what the memory could deliver at its clock, in bytes a second.
func (i DeviceInfo) Bandwidth() float64 {
	return 2 * float64(i.MemoryClockKHz) * 1e3 * float64(i.BusBits) / 8
}

// Attributes of cuda.h, CUdevice_attribute.
const (
	attrClock          = 13
	attrSMs            = 16
	attrIntegrated     = 18
	attrMemoryClock    = 36
	attrBusBits        = 37
	attrL2             = 38
	attrThreadsPerSM   = 39
	attrMajor          = 75
	attrMinor          = 76
	attrSharedPerSM    = 81
	attrRegistersPerSM = 82
	attrCooperative    = 95
	attrSharedOptin    = 97
)

// Devices is how many devices there are: 1 or more, or an error.
func (d *Driver) Devices() (int, error) {
	var n int32
	if err := d.call(deviceGetCount, uintptr(unsafe.Pointer(&n))); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, whyNot(&Error{Code: noDevice})
	}
	return int(n), nil
}

// A Device is the driver's number of a card.
type Device int32

// Device finds the card of an ordinal.
func (d *Driver) Device(ordinal int) (Device, error) {
	n, err := d.Devices()
	if err != nil {
		return 0, err
	}
	if ordinal < 0 || ordinal >= n {
		return 0, fmt.Errorf("cuda: device %d: there are %d (from 0 on); llcuda gpu lists them", ordinal, n)
	}
	var dev Device
	err = d.call(deviceGet, uintptr(unsafe.Pointer(&dev)), uintptr(ordinal))
	return dev, err
}

// Info asks for all properties of a card. It refuses one that is too old for
// the kernels with ErrOldDevice, beside what it found.
func (d *Driver) Info(ordinal int) (DeviceInfo, error) {
	dev, err := d.Device(ordinal)
	if err != nil {
		return DeviceInfo{}, err
	}
	i := DeviceInfo{Ordinal: ordinal, Driver: d.Version()}
	var errs []error
	look := func(attribute int) (int, error) {
		var v int32
		err := d.call(deviceGetAttribute, uintptr(unsafe.Pointer(&v)), uintptr(attribute), uintptr(dev))
		return int(v), err
	}
	get := func(attribute int) int {
		v, err := look(attribute)
		errs = append(errs, err)
		return v
	}
	show := func(attribute int) int { // what is only told to users; drivers may drop it
		v, _ := look(attribute)
		return v
	}
	i.Major, i.Minor, i.SMs = get(attrMajor), get(attrMinor), get(attrSMs)
	i.ClockKHz, i.MemoryClockKHz, i.BusBits, i.L2 = show(attrClock), show(attrMemoryClock), show(attrBusBits), get(attrL2)
	i.SharedPerBlock, i.SharedPerSM = get(attrSharedOptin), get(attrSharedPerSM)
	i.RegistersPerSM, i.ThreadsPerSM = get(attrRegistersPerSM), get(attrThreadsPerSM)
	i.Cooperative, i.Integrated = get(attrCooperative) != 0, get(attrIntegrated) != 0
	var name [256]byte
	errs = append(errs, d.call(deviceGetName, uintptr(unsafe.Pointer(&name)), uintptr(len(name)), uintptr(dev)))
	i.Name = cString(&name[0])
	var bus [32]byte
	errs = append(errs, d.call(deviceGetPCIBusID, uintptr(unsafe.Pointer(&bus)), uintptr(len(bus)), uintptr(dev)))
	i.PCI = cString(&bus[0])
	var total uint64
	errs = append(errs, d.call(deviceTotalMem, uintptr(unsafe.Pointer(&total)), uintptr(dev)))
	i.Memory = int64(total)
	if err := errors.Join(errs...); err != nil {
		return i, err
	}
	if i.Major < OldestMajor || i.Major == OldestMajor && i.Minor < OldestMinor {
		return i, fmt.Errorf("%w: %s has compute capability %s, the kernels need %d.%d (Turing, 2018) or newer; use the CPU",
			ErrOldDevice, i.Name, i.Capability(), OldestMajor, OldestMinor)
	}
	return i, nil
}

// A Context is a card's memory and kernels, to this process.
type Context uintptr

// PrimaryRetain returns the card's primary context, PrimaryRelease gives it
// back; the last release ends it, with all that is in it. PrimaryReset ends it
// at once, also after a sticky error.
func (d *Driver) PrimaryRetain(dev Device) (Context, error) {
	var c Context
	err := d.call(primaryRetain, uintptr(unsafe.Pointer(&c)), uintptr(dev))
	return c, err
}

func (d *Driver) PrimaryRelease(dev Device) error { return d.call(primaryRelease, uintptr(dev)) }

func (d *Driver) PrimaryReset(dev Device) error { return d.call(primaryReset, uintptr(dev)) }

// SetCurrent makes c the context of the calling thread.
func (d *Driver) SetCurrent(c Context) error { return d.call(ctxSetCurrent, uintptr(c)) }
