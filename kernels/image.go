package kernels

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/llcuda/llcuda/internal/cuda"
)

// Images are what `make kernels` makes of the .cu files (kernels/build):
// machine code, norm.sm_75.cubin.zst, and PTX, norm.compute_75.ptx.zst, which
// drivers compile. index.txt has lines "kernel module". No card needs the PTX for
// compute_75, which shows the T4's code on a newer one (LLCUDA_IMAGES and
// LLCUDA_IMAGE); it is not in the binary.
//
//go:embed image/index.txt image/*.cubin.zst image/*.compute_80.ptx.zst
var embedded embed.FS

// imageFiles are those of the binary, or of the folder LLCUDA_IMAGES: a kernel
// can be tried without building the program anew.
var imageFiles = sync.OnceValue(func() fs.FS {
	if dir := os.Getenv("LLCUDA_IMAGES"); dir != "" {
		return os.DirFS(dir)
	}
	files, err := fs.Sub(embedded, "image")
	if err != nil {
		panic(err)
	}
	return files
})

// An index says which module has a kernel.
var index = sync.OnceValues(func() (map[string]string, error) { return readIndex(imageFiles(), os.Getenv("LLCUDA_IMAGES")) })

// readIndex reads the index of files, those of a folder or, "", of the binary.
func readIndex(files fs.FS, dir string) (map[string]string, error) {
	text, err := fs.ReadFile(files, "index.txt")
	if err != nil && dir == "" {
		panic("kernels: no index of the images: run make kernels")
	}
	if err != nil {
		return nil, fmt.Errorf("LLCUDA_IMAGES=%s: no images there: %w; unset it, or name a folder that make kernels has filled", dir, err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if kernel, module, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			modules[kernel] = module
		}
	}
	return modules, nil
}

// An image is one compiled form of a module.
type image struct {
	file    string
	machine string // "sm_75", "compute_80"
	version int    // 75
}

func (i image) ptx() bool { return strings.HasPrefix(i.machine, "compute_") }

func (i image) String() string {
	if i.file == "" {
		return "the driver's own"
	}
	if i.ptx() {
		return i.machine + " PTX"
	}
	return i.machine + " machine code"
}

// forms are the images of a module that could run on a card of compute
// capability major.minor, best first: machine code of the same major number,
// which the card's generation understands, then PTX, the newest first.
// LLCUDA_IMAGE ("compute_75") leaves only one, to compare them.
func forms(names []string, module string, major, minor int) []image {
	var all []image
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, module+".")
		machine, _, dot := strings.Cut(rest, ".")
		_, number, _ := strings.Cut(machine, "_")
		version, err := strconv.Atoi(number)
		i := image{name, machine, version}
		if !ok || !dot || err != nil || version > 10*major+minor || !i.ptx() && version/10 != major {
			continue
		}
		if only := os.Getenv("LLCUDA_IMAGE"); only == "" || only == machine {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b image) int {
		if a.ptx() != b.ptx() {
			if b.ptx() {
				return -1
			}
			return 1
		}
		return b.version - a.version
	})
	return all
}

var imageNames = sync.OnceValue(func() (names []string) {
	files, _ := fs.ReadDir(imageFiles(), ".")
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
})

// unpacked reads an image. They are packed, for the binary would have 40 MB of
// them.
func unpacked(name string) ([]byte, error) {
	packed, err := fs.ReadFile(imageFiles(), name)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	image, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	return image, nil
}

// images are the modules that a device has loaded.
type images struct {
	modules map[string]cuda.Module
	kernels map[string]*kernel
	used    string // the form of what was loaded last
}

// A kernel is a function of a loaded module.
type kernel struct {
	handle  cuda.Function
	static  int // shared memory that it has anyway
	dynamic int // dynamic shared memory that it may have
}

// kernel finds a kernel, loads its module if it is the first of it, and lets
// it have so much dynamic shared memory.
func (d *Device) kernel(name string, smem int) (*kernel, error) {
	k := d.images.kernels[name]
	if k == nil {
		modules, err := index()
		if err != nil {
			return nil, err
		}
		m, err := d.module(modules[name])
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", name, err)
		}
		k = &kernel{dynamic: 48 << 10}
		if k.handle, err = d.drv.ModuleGetFunction(m, name); err == nil {
			k.static, err = d.drv.FuncGetAttribute(k.handle, cuda.StaticShared)
		}
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", name, err)
		}
		k.dynamic -= k.static
		if d.images.kernels == nil {
			d.images.kernels = map[string]*kernel{}
		}
		d.images.kernels[name] = k
	}
	if smem > k.dynamic {
		if most := d.info.SharedPerBlock - k.static; smem > most {
			return nil, fmt.Errorf("kernel %s: %d bytes of shared memory, the card has %d", name, smem, most)
		}
		if err := d.drv.FuncSetAttribute(k.handle, cuda.MaxDynamicShared, smem); err != nil {
			return nil, fmt.Errorf("kernel %s: %d bytes of shared memory: %w", name, smem, err)
		}
		k.dynamic = smem
	}
	return k, nil
}

// module loads the best form of a module that the driver takes. Where there is
// none it loads nothing by its name, which the emulated driver alone accepts:
// that one has all kernels in itself.
func (d *Device) module(name string) (cuda.Module, error) {
	if m, ok := d.images.modules[name]; ok {
		return m, nil
	}
	all := forms(imageNames(), name, d.info.Major, d.info.Minor)
	if len(all) == 0 {
		all = []image{{}} // for a driver that has all kernels in itself
	}
	var refusals error
	for _, i := range all {
		var data []byte
		if i.file != "" {
			var err error
			if data, err = unpacked(i.file); err != nil {
				return 0, err
			}
		}
		m, err := d.drv.ModuleLoadData(data)
		if err != nil {
			refusals = errors.Join(refusals, fmt.Errorf("image %s: %w", i.file, err))
			continue
		}
		if d.images.modules == nil {
			d.images.modules = map[string]cuda.Module{}
		}
		d.images.modules[name] = m
		d.images.used = i.String()
		return m, nil
	}
	if all[0].file == "" {
		return 0, fmt.Errorf("no image runs on %s: %s", d.info.Name, whyNone(imageNames(), d.info))
	}
	return 0, refusals
}

// whyNone says why none of these images runs on a card.
func whyNone(names []string, i cuda.DeviceInfo) string {
	only := os.Getenv("LLCUDA_IMAGE")
	of := func(name string) bool { return strings.Contains(name, "."+only+".") }
	switch {
	case only == "":
		return fmt.Sprintf("there are none for its compute capability, %s; update llcuda", i.Capability())
	case slices.ContainsFunc(names, of):
		return fmt.Sprintf("LLCUDA_IMAGE=%s is not for compute capability %s; unset it", only, i.Capability())
	case os.Getenv("LLCUDA_IMAGES") == "":
		return fmt.Sprintf("LLCUDA_IMAGE=%s, and the binary has no such images; unset it, or name a folder that has them in LLCUDA_IMAGES", only)
	}
	return fmt.Sprintf("LLCUDA_IMAGE=%s, and LLCUDA_IMAGES=%s has no such images; unset it, or name a folder that has them", only, os.Getenv("LLCUDA_IMAGES"))
}

// Image is the form of the kernels that the card runs, "sm_75 machine code" or
// "compute_80 PTX", or "none" and why.
func (d *Device) Image() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.images.used != "" {
		return d.images.used
	}
	modules, err := index()
	if err != nil {
		return fmt.Sprintf("none: %v", err)
	}
	for _, module := range modules {
		if all := forms(imageNames(), module, d.info.Major, d.info.Minor); len(all) > 0 {
			return all[0].String()
		}
	}
	return "none: " + whyNone(imageNames(), d.info)
}

func (i *images) unload(drv *cuda.Driver) error {
	var err error
	for _, m := range i.modules {
		err = errors.Join(err, drv.ModuleUnload(m))
	}
	*i = images{}
	return err
}
