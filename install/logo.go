//go:build ignore

// Command logo draws the kernel's logo: two letters l and a prompt, as the two
// bitmaps that older front ends want and the drawing for the others.
package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"os"
	"strings"
)

// A stroke is a thick line with round ends, on a field of 64 by 64.
type stroke struct {
	x1, y1, x2, y2, width float64
	c                     color.RGBA
}

var (
	ground  = color.RGBA{0x15, 0x1c, 0x24, 0xff}
	white   = color.RGBA{0xf2, 0xf5, 0xf7, 0xff}
	green   = color.RGBA{0x76, 0xb9, 0x00, 0xff}
	strokes = []stroke{
		{17, 16, 17, 48, 7, white},
		{29, 16, 29, 48, 7, white},
		{40, 26, 48, 34, 6, green},
		{48, 34, 40, 42, 6, green},
	}
)

// inside reports whether the point lies on the rounded square.
func inside(x, y float64) bool {
	const radius, half = 13.0, 32.0
	dx, dy := math.Max(math.Abs(x-half)-half+radius, 0), math.Max(math.Abs(y-half)-half+radius, 0)
	return math.Hypot(dx, dy) <= radius
}

func (s stroke) covers(x, y float64) bool {
	dx, dy := s.x2-s.x1, s.y2-s.y1
	t := ((x-s.x1)*dx + (y-s.y1)*dy) / (dx*dx + dy*dy)
	t = math.Min(math.Max(t, 0), 1)
	return math.Hypot(x-s.x1-t*dx, y-s.y1-t*dy) <= s.width/2
}

// draw renders with 8 by 8 samples a pixel.
func draw(size int) image.Image {
	const n = 8
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for py := range size {
		for px := range size {
			var r, g, b, hits float64
			for i := range n * n {
				x := (float64(px) + (float64(i%n)+0.5)/n) * 64 / float64(size)
				y := (float64(py) + (float64(i/n)+0.5)/n) * 64 / float64(size)
				if !inside(x, y) {
					continue
				}
				c := ground
				for _, s := range strokes {
					if s.covers(x, y) {
						c = s.c
					}
				}
				r, g, b, hits = r+float64(c.R), g+float64(c.G), b+float64(c.B), hits+1
			}
			if hits > 0 {
				img.SetNRGBA(px, py, color.NRGBA{uint8(r / hits), uint8(g / hits), uint8(b / hits), uint8(255 * hits / (n * n))})
			}
		}
	}
	return img
}

func svg() string {
	hex := func(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" stroke-linecap="round">` + "\n")
	fmt.Fprintf(&b, "<rect width=\"64\" height=\"64\" rx=\"13\" fill=\"%s\"/>\n", hex(ground))
	for _, s := range strokes {
		fmt.Fprintf(&b, "<path d=\"M%g %gL%g %g\" stroke=\"%s\" stroke-width=\"%g\"/>\n", s.x1, s.y1, s.x2, s.y2, hex(s.c), s.width)
	}
	return b.String() + "</svg>\n"
}

func main() {
	for _, size := range []int{32, 64} {
		f, err := os.Create(fmt.Sprintf("logo-%dx%d.png", size, size))
		if err != nil {
			log.Fatal(err)
		}
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(f, draw(size)); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
	if err := os.WriteFile("logo-svg.svg", []byte(svg()), 0o644); err != nil {
		log.Fatal(err)
	}
}
