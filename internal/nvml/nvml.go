// Package nvml lists NVIDIA cards by the driver's management library: names,
// memory, temperature, power. Where there is none it says exactly why. It
// computes nothing and needs no CUDA.
package nvml

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// A Card is one GPU as the driver reports it. What a card does not report is
// its zero value; -1 for TempC and Utilisation.
type Card struct {
	Index        int       `json:"index"`
	Name         string    `json:"name"`
	UUID         string    `json:"uuid,omitempty"`
	PCI          string    `json:"pci,omitempty"`                // "0000:00:04.0"
	Capability   string    `json:"compute_capability,omitempty"` // "7.5"
	Total        int64     `json:"memory_total_bytes"`
	Used         int64     `json:"memory_used_bytes"`
	Free         int64     `json:"memory_free_bytes"`
	TempC        int       `json:"temperature_c"`
	PowerW       float64   `json:"power_w,omitempty"`
	PowerLimitW  float64   `json:"power_limit_w,omitempty"`
	Utilisation  int       `json:"utilisation_percent"`
	ClockMHz     int       `json:"clock_mhz,omitempty"` // of the SMs
	MaxClockMHz  int       `json:"max_clock_mhz,omitempty"`
	MemoryMHz    int       `json:"memory_clock_mhz,omitempty"`
	PCIeGen      int       `json:"pcie_generation,omitempty"` // of the link as it is now: an idle card slows it down
	PCIeWidth    int       `json:"pcie_width,omitempty"`
	MaxPCIeGen   int       `json:"max_pcie_generation,omitempty"`
	MaxPCIeWidth int       `json:"max_pcie_width,omitempty"`
	Processes    []Process `json:"processes,omitempty"`    // that compute on it
	Driver       string    `json:"driver,omitempty"`       // "550.54.15"
	CUDA         string    `json:"cuda_version,omitempty"` // newest CUDA that the driver takes: "12.4"

	// What NVML does not know, and who has asked CUDA adds.
	Device  string `json:"device,omitempty"` // what llcuda calls it: "cuda:0"
	SMs     int    `json:"sms,omitempty"`
	Kernels string `json:"kernels,omitempty"`    // the form of the kernels that runs on it
	Ours    int64  `json:"used_by_us,omitempty"` // bytes that this process has taken
	Problem string `json:"problem,omitempty"`    // why llcuda cannot use it
}

// A Process is a program that has memory on a card.
type Process struct {
	PID   int    `json:"pid"`
	Name  string `json:"name,omitempty"`
	Bytes int64  `json:"memory_bytes,omitempty"` // 0: the driver does not tell
}

// Why there is no card. Each has its own message and advice; errors.Is tells
// them apart.
var (
	ErrNoLibrary  = errors.New("no NVIDIA driver library (libnvidia-ml.so.1) on this machine")
	ErrNoDriver   = errors.New("the NVIDIA driver library is here, but the kernel driver is not loaded")
	ErrNoDevice   = errors.New("the NVIDIA driver is loaded, but it sees no GPU")
	ErrMismatch   = errors.New("the NVIDIA kernel driver and its library have different versions")
	ErrNoAccess   = errors.New("the NVIDIA driver refuses access to the GPU")
	ErrHidden     = errors.New("CUDA_VISIBLE_DEVICES hides all GPUs")
	ErrNoSupport  = errors.New("this build of llcuda does not ask NVIDIA's driver")
	ErrDriverFail = errors.New("the NVIDIA driver failed")
)

// Advice says what to do about an error of Cards, one sentence.
func Advice(err error) string {
	switch {
	case errors.Is(err, ErrNoLibrary), errors.Is(err, ErrNoDevice):
		if _, statErr := os.Stat("/proc/driver/nvidia/version"); statErr == nil && errors.Is(err, ErrNoLibrary) {
			return "The kernel driver is loaded: this is a container without the driver's libraries; start it with the NVIDIA container runtime (docker run --gpus all)."
		}
		if inColab() {
			return colab
		}
		return "In Colab: " + colab + " Elsewhere: install NVIDIA's driver on a machine with a card."
	case errors.Is(err, ErrNoDriver):
		return "Load it (modprobe nvidia) or reinstall the driver for the running kernel, then look again."
	case errors.Is(err, ErrMismatch):
		return "The driver was updated while it ran: restart the machine."
	case errors.Is(err, ErrNoAccess):
		return "Let your user read and write /dev/nvidia*, or run the container with the GPU."
	case errors.Is(err, ErrHidden):
		return "Unset it, or set it to the numbers of the cards to use (%env CUDA_VISIBLE_DEVICES=0), and restart the kernel."
	case errors.Is(err, ErrNoSupport):
		return "Take the Linux build that is made with cgo."
	}
	return "nvidia-smi may say more."
}

const colab = "Runtime → Change runtime type → T4 GPU, then connect again."

func inColab() bool { return os.Getenv("COLAB_RELEASE_TAG") != "" || os.Getenv("COLAB_GPU") != "" }

// hidden reports whether the user hides all cards from CUDA programs. The
// driver's management library itself takes no notice of the variable.
func hidden() error {
	v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	if first, _, _ := strings.Cut(strings.TrimSpace(v), ","); set && (first == "" || first == "-1" || strings.EqualFold(first, "NoDevFiles")) {
		return fmt.Errorf("%w: it is set to %q", ErrHidden, v)
	}
	return nil
}
