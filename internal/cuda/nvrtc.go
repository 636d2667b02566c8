package cuda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// ErrNoNVRTC says that NVRTC is not on this machine. It is never required.
var ErrNoNVRTC = errors.New("cuda: NVRTC is not on this machine (pip install nvidia-cuda-nvrtc-cu12; LLCUDA_NVRTC names the folder that it was installed to)")

// An NVRTC is NVIDIA's compiler of CUDA C++ as a library
// (docs.nvidia.com/cuda/nvrtc), loaded. It needs neither a driver nor a GPU.
type NVRTC struct {
	*part
	Version string // "12.1"
}

const (
	nvrtcVersion = iota
	nvrtcErrorString
	nvrtcCreate
	nvrtcDestroy
	nvrtcCompile
	nvrtcLogSize
	nvrtcLog
	nvrtcPTXSize
	nvrtcPTX
	nvrtcCUBINSize
	nvrtcCUBIN
)

// LoadNVRTC finds NVRTC, at most of this version of the driver ("12.1"; "" is
// any). The error is ErrNoNVRTC where there is none.
func LoadNVRTC(driver string) (*NVRTC, error) {
	major := 13
	if driver != "" {
		fmt.Sscanf(driver, "%d", &major)
	}
	names := versions(major*1000, "libnvrtc.so.%d", "nvrtc64_%d0_0.dll")
	if i := slices.Index(names, "libnvrtc.so.11"); i >= 0 {
		names[i] = "libnvrtc.so.11.2"
	}
	files := candidates("", "cuda_nvrtc", names...)
	if wheels := os.Getenv("LLCUDA_NVRTC"); wheels != "" {
		files = nil
		for _, name := range names {
			files = append(files, filepath.Join(wheels, "nvidia/cuda_nvrtc/lib", name))
		}
	}
	p, err := loadPart(files, []string{"nvrtcVersion", "nvrtcGetErrorString",
		"nvrtcCreateProgram", "nvrtcDestroyProgram", "nvrtcCompileProgram", "nvrtcGetProgramLogSize", "nvrtcGetProgramLog",
		"nvrtcGetPTXSize", "nvrtcGetPTX", "nvrtcGetCUBINSize", "nvrtcGetCUBIN"})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoNVRTC, err)
	}
	p.text = func(code int) string {
		r, _, _ := purego.SyscallN(p.fn[nvrtcErrorString], uintptr(code))
		return cString(*(**byte)(unsafe.Pointer(&r)))
	}
	var v [2]int32
	if err := p.call(nvrtcVersion, uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&v[1]))); err != nil {
		return nil, err
	}
	return &NVRTC{p, fmt.Sprintf("%d.%d", v[0], v[1])}, nil
}

// Compile compiles a source to PTX ("--gpu-architecture=compute_75" among the
// options) or machine code ("…=sm_75"). headers are what it may include, by
// name. log has the compiler's words, warnings too; the error does not repeat
// them.
func (n *NVRTC) Compile(name, source string, headers map[string]string, options ...string) (image []byte, log string, err error) {
	var texts, names [][]byte
	for h, text := range headers {
		names, texts = append(names, cBytes(h)), append(texts, cBytes(text))
	}
	var flags [][]byte
	machine := false
	for _, o := range options {
		flags = append(flags, cBytes(o))
		machine = machine || strings.Contains(o, "arch") && strings.Contains(o, "=sm_")
	}
	keep := [][]*byte{pointers(texts), pointers(names), pointers(flags)}
	src, title := cBytes(source), cBytes(name)
	var prog uintptr
	err = n.call(nvrtcCreate, uintptr(unsafe.Pointer(&prog)), uintptr(unsafe.Pointer(&src[0])), uintptr(unsafe.Pointer(&title[0])),
		uintptr(len(texts)), uintptr(unsafe.Pointer(unsafe.SliceData(keep[0]))), uintptr(unsafe.Pointer(unsafe.SliceData(keep[1]))))
	if err != nil {
		return nil, "", err
	}
	defer n.call(nvrtcDestroy, uintptr(unsafe.Pointer(&prog)))
	failed := n.call(nvrtcCompile, prog, uintptr(len(flags)), uintptr(unsafe.Pointer(unsafe.SliceData(keep[2]))))
	runtime.KeepAlive(keep)
	text, err := n.output(prog, nvrtcLogSize, nvrtcLog)
	log = strings.TrimRight(string(text), "\x00\n")
	if failed != nil || err != nil {
		return nil, log, errors.Join(failed, err)
	}
	if machine {
		image, err = n.output(prog, nvrtcCUBINSize, nvrtcCUBIN)
	} else {
		image, err = n.output(prog, nvrtcPTXSize, nvrtcPTX)
	}
	return image, log, err
}

// output is a result of variable size.
func (n *NVRTC) output(prog uintptr, size, get int) ([]byte, error) {
	var bytes uintptr
	if err := n.call(size, prog, uintptr(unsafe.Pointer(&bytes))); err != nil || bytes == 0 {
		return nil, err
	}
	b := make([]byte, bytes)
	return b, n.call(get, prog, uintptr(unsafe.Pointer(&b[0])))
}

func cBytes(s string) []byte { return append([]byte(s), 0) }

func pointers(all [][]byte) []*byte {
	p := make([]*byte, len(all))
	for i, b := range all {
		p[i] = &b[0]
	}
	return p
}
