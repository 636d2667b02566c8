package gguf

import (
	"bytes"
	"errors"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
)

// TestParse reads a file that gguf-py wrote, see testdata/make_golden.py.
func TestParse(t *testing.T) {
	b, err := os.ReadFile("testdata/all.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []KV{{"general.architecture", "llama"},
		{"v.u8", uint8(200)}, {"v.i8", int8(-100)}, {"v.u16", uint16(60000)}, {"v.i16", int16(-30000)},
		{"v.u32", uint32(4000000000)}, {"v.i32", int32(-2000000000)}, {"v.u64", uint64(1 << 63)}, {"v.i64", int64(-1 << 62)},
		{"v.f32", float32(1.5)}, {"v.f64", 0.1}, {"v.true", true}, {"v.false", false}, {"v.string", "grüß dich"},
		{"a.u8", []uint8{1, 255}}, {"a.i8", []int8{1, -128}}, {"a.u16", []uint16{1, 65535}}, {"a.i16", []int16{1, -32768}},
		{"a.u32", []uint32{1, math.MaxUint32}}, {"a.i32", []int32{1, math.MinInt32}},
		{"a.u64", []uint64{1, math.MaxUint64}}, {"a.i64", []int64{1, math.MinInt64}},
		{"a.f32", []float32{0.5, -0.25}}, {"a.f64", []float64{0.1, -0.2}}, {"a.bool", []bool{true, false}},
		{"a.string", []string{"a", "", "日本"}}}
	if f.Version != 3 || !slices.EqualFunc(f.Meta, want, func(a, b KV) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("version %d, metadata\n%v, want version 3 and\n%v", f.Version, f.Meta, want)
	}
	shapes := map[string][]int{"one": {3}, "two": {2, 3}, "three": {2, 3, 4}, "four": {2, 1, 4, 2}, "q": {2, 32}}
	for name, shape := range shapes {
		x := f.Tensor(name)
		if x == nil || !slices.Equal(x.Shape, shape) {
			t.Errorf("tensor %s is %v, want shape %v", name, x, shape)
			continue
		}
		if name == "q" {
			if x.DType != tensor.Q8_0 || x.Data[0] != 0 || x.Data[67] != 67 {
				t.Errorf("q is %s %d", x.DType, x.Data)
			}
			continue
		}
		got := make([]float32, x.Len())
		x.DType.Decode(got, x.Data)
		for i, v := range got {
			if v != float32(i) {
				t.Errorf("%s[%d] is %g, want %d", name, i, v, i)
			}
		}
	}
	if f.Tensor("five") != nil {
		t.Error("there is a tensor five")
	}
	if f.Params() != 3+6+24+16+64 || len(f.TypeCounts()) != 5 || f.Size() != int64(len(b)) {
		t.Errorf("%d parameters, types %v, %d bytes", f.Params(), f.TypeCounts(), f.Size())
	}
}

func TestParseVersion2(t *testing.T) {
	b := model()
	b[4] = 2
	if f, err := Parse(b); err != nil || f.Version != 2 {
		t.Error(f, err)
	}
}

func TestParseEmptyFile(t *testing.T) {
	f, err := Parse(file(0, 0).Bytes())
	if err != nil || f.Tensor("x") != nil {
		t.Fatal(f, err)
	}
	if _, ok := f.Value("x"); ok {
		t.Error("there is a key x")
	}
}

const huge = 1 << 63

// refused are files that break one rule each, and what the error says.
func refused() map[string]struct {
	data []byte
	want string
} {
	type c = struct {
		data []byte
		want string
	}
	one := func(typ uint32, offset uint64, dims ...uint64) []byte {
		return file(1, 0).tensor("x", typ, offset, dims...).pad(32).data(1024).Bytes()
	}
	align := func(typ uint32, v any) []byte { return file(0, 1).key(keyAlignment, typ).put(v).Bytes() }
	vocab := func() *raw { return file(0, 2).strs("tokenizer.ggml.tokens", "a", "b") }
	return map[string]c{
		"nothing":              {nil, "header: 4 bytes wanted"},
		"wrong magic":          {[]byte("FUGG" + strings.Repeat("\x00", 20)), `magic is "FUGG"`},
		"GGML magic":           {[]byte("lmgg" + strings.Repeat("\x00", 20)), "not a GGUF file"},
		"GGJT magic":           {[]byte("tjgg" + strings.Repeat("\x00", 20)), "not a GGUF file"},
		"version 0":            {new(raw).text("GGUF").put(uint32(0), uint64(0), uint64(0)).Bytes(), "version 0, want 2 or 3"},
		"version 1":            {new(raw).text("GGUF").put(uint32(1), uint64(0), uint64(0)).Bytes(), "version 1, want 2 or 3"},
		"version 4":            {new(raw).text("GGUF").put(uint32(4), uint64(0), uint64(0)).Bytes(), "version 4, want 2 or 3"},
		"big endian":           {new(raw).text("GGUF").put(uint32(0x03000000), uint64(0), uint64(0)).Bytes(), "version 3 in big-endian order"},
		"tensors 2^32-1":       {file(1<<32-1, 0).Bytes(), "4294967295 tensors do not fit"},
		"tensors 2^63":         {file(huge, 0).Bytes(), "9223372036854775808 tensors"},
		"tensors 2^64-1":       {file(1<<64-1, 0).Bytes(), "18446744073709551615 tensors"},
		"keys 2^32-1":          {file(0, 1<<32-1).Bytes(), "4294967295 keys do not fit"},
		"keys 2^63":            {file(0, huge).Bytes(), "9223372036854775808 keys"},
		"keys 2^64-1":          {file(0, 1<<64-1).Bytes(), "18446744073709551615 keys"},
		"2^20+1 keys":          {file(0, 1<<20+1).data(15 << 20).Bytes(), "1048577 keys, at most 1048576 allowed"},
		"2^20+1 tensors":       {file(1<<20+1, 0).data(35 << 20).Bytes(), "1048577 tensors, at most 1048576 allowed"},
		"one key too many":     {file(0, 2).key("a", typeUint8).put(uint8(1)).data(13).Bytes(), "keys do not fit"},
		"key length 0":         {file(0, 1).key("", typeUint32).put(uint32(1)).Bytes(), "the name is empty"},
		"key length 2^31":      {file(0, 1).put(uint64(1 << 31)).data(64).Bytes(), "2147483648 bytes of a string do not fit"},
		"key length 2^63":      {file(0, 1).put(uint64(huge)).data(64).Bytes(), "9223372036854775808 bytes of a string"},
		"key length 2^64-1":    {file(0, 1).put(uint64(1<<64 - 1)).data(64).Bytes(), "18446744073709551615 bytes of a string"},
		"key longer than file": {file(0, 1).put(uint64(65)).data(64).Bytes(), "65 bytes of a string do not fit, 64 bytes are left"},
		"duplicate key": {file(0, 2).key("k", typeUint8).put(uint8(1)).key("k", typeUint8).put(uint8(1)).Bytes(),
			`key "k": appears twice (at byte 38)`},
		"key with NUL":          {file(0, 1).key("a\x00b", typeUint32).put(uint32(1)).Bytes(), "is not text"},
		"key not UTF-8":         {file(0, 1).key("a\xffb", typeUint32).put(uint32(1)).Bytes(), "is not text"},
		"value type 13":         {file(0, 1).key("k", 13).data(16).Bytes(), "value type 13, want 0 to 12"},
		"value type 2^32-1":     {file(0, 1).key("k", 1<<32-1).data(16).Bytes(), "value type 4294967295"},
		"bool 2":                {file(0, 1).key("k", typeBool).put(uint8(2)).Bytes(), `key "k": bool is 2, want 0 or 1`},
		"bool 2 in a list":      {file(0, 1).list("k", typeBool, 2).put(uint8(1), uint8(2)).Bytes(), "bool is 2"},
		"array of arrays":       {file(0, 1).list("k", typeArray, 1).put(uint32(4), uint64(0)).Bytes(), "array of arrays"},
		"array of type 13":      {file(0, 1).list("k", 13, 1).data(16).Bytes(), "value type 13"},
		"array of 2^63":         {file(0, 1).list("k", typeUint8, huge).data(64).Bytes(), "9223372036854775808 array elements do not fit"},
		"array of 2^61 doubles": {file(0, 1).list("k", typeFloat64, 1<<61).data(64).Bytes(), "2305843009213693952 array elements"},
		"array longer than file": {file(0, 1).list("k", typeFloat32, 17).data(64).Bytes(),
			"17 array elements do not fit, 64 bytes are left"},
		"string list, bad length": {file(0, 1).list("k", typeString, 2).str("a").put(uint64(1 << 40)).data(8).Bytes(), "1099511627776 bytes of a string"},
		"string list, many":       {file(0, 1).list("k", typeString, 9).data(64).Bytes(), "9 array elements do not fit"},
		"alignment 0":             {align(typeUint32, uint32(0)), `key "general.alignment": is 0, want a power of two`},
		"alignment 1":             {align(typeUint32, uint32(1)), "is 1, want a power of two from 8"},
		"alignment 3":             {align(typeUint32, uint32(3)), "is 3, want"},
		"alignment 13":            {align(typeUint32, uint32(13)), "is 13, want"},
		"alignment 2^31":          {align(typeUint32, uint32(1<<31)), "is 2147483648, want"},
		"alignment int32":         {align(typeInt32, int32(32)), "is int32, want uint32"},
		"alignment uint64":        {align(typeUint64, uint64(32)), "is uint64, want uint32"},
		"alignment list":          {file(0, 1).list(keyAlignment, typeUint32, 1).put(uint32(32)).Bytes(), "is []uint32, want uint32"},
		"scores too short": {vocab().list("tokenizer.ggml.scores", typeFloat32, 1).put(float32(1)).Bytes(),
			`key "tokenizer.ggml.scores": has 1 elements, tokenizer.ggml.tokens has 2`},
		"types too long":                  {vocab().list("tokenizer.ggml.token_type", typeInt32, 3).put([]int32{1, 1, 1}).Bytes(), "has 3 elements"},
		"scores not a list":               {vocab().key("tokenizer.ggml.scores", typeFloat32).put(float32(1)).Bytes(), "is float32, want a list"},
		"token of 2^31":                   {file(0, 1).list("tokenizer.ggml.tokens", typeString, 1).put(uint64(1<<31 + 1)).data(32).Bytes(), "2147483649 bytes of a string"},
		"tensor name empty":               {file(1, 0).tensor("", 0, 0, 32).pad(32).data(128).Bytes(), "the name is empty"},
		"tensor name 64":                  {file(1, 0).tensor(strings.Repeat("n", 64), 0, 0, 32).pad(32).data(128).Bytes(), "name of 64 bytes, at most 63 allowed"},
		"tensor name 2^63":                {file(1, 0).put(uint64(huge)).data(64).Bytes(), "9223372036854775808 bytes of a string"},
		"tensor name binary":              {file(1, 0).tensor("\xff\xfe", 0, 0, 32).pad(32).data(128).Bytes(), "is not text"},
		"duplicate tensor":                {file(2, 0).tensor("x", 0, 0, 8).tensor("x", 0, 32, 8).pad(32).data(64).Bytes(), `tensor "x": appears twice`},
		"0 dimensions":                    {one(0, 0), "0 dimensions, 1 to 4 allowed"},
		"5 dimensions":                    {one(0, 0, 1, 1, 1, 1, 1), "5 dimensions, 1 to 4 allowed"},
		"2^32-1 dimensions":               {file(1, 0).str("x").put(uint32(1<<32 - 1)).data(1024).Bytes(), "4294967295 dimensions"},
		"dimension 0":                     {one(0, 0, 32, 0), "a dimension is 0, want 1 or more"},
		"dimension -1":                    {one(0, 0, 1<<64-1), "a dimension is -1"},
		"product 2^63":                    {one(0, 0, 1<<32, 1<<31), "more than 2⁶³ numbers"},
		"product 2^64":                    {one(0, 0, 1<<32, 1<<32), "more than 2⁶³ numbers"},
		"product wraps to 4":              {one(0, 0, 1<<62+1, 4), "more than 2⁶³ numbers"},
		"bytes overflow":                  {one(uint32(tensor.I64), 0, 1<<61), "more than 2⁶² bytes"},
		"rows cut blocks":                 {one(uint32(tensor.Q4_K), 0, 128), "rows of 128 numbers are no whole blocks of 256 (q4_k)"},
		"rows cut blocks, whole together": {one(uint32(tensor.Q8_0), 0, 16, 2), "rows of 16 numbers are no whole blocks of 32"},
		"type 4":                          {one(4, 0, 32), "unknown storage format, type 4"},
		"type of no file":                 {one(uint32(tensor.NF4), 0, 64), "unknown storage format, type 56"},
		"type 5":                          {one(5, 0, 32), "type 5"},
		"type 31":                         {one(31, 0, 32), "type 31"},
		"type 33":                         {one(33, 0, 32), "type 33"},
		"type 36":                         {one(36, 0, 32), "type 36"},
		"type 38":                         {one(38, 0, 32), "type 38"},
		"type 43":                         {one(43, 0, 32), "type 43"},
		"type 64":                         {one(64, 0, 32), "type 64"},
		"type -1":                         {one(1<<32-1, 0, 32), "type 4294967295"},
		"offset unaligned":                {one(0, 4, 32), "offset 4, want 0"},
		"offset beyond file":              {one(0, 1<<40, 32), "offset 1099511627776, want 0"},
		"offset 2^64-32":                  {one(0, 1<<64-32, 32), "offset 18446744073709551584, want 0"},
		"overlap":                         {file(2, 0).tensor("x", 0, 0, 16).tensor("y", 0, 32, 16).pad(32).data(256).Bytes(), "offset 32, want 64"},
		"gap":                             {file(2, 0).tensor("x", 0, 0, 8).tensor("y", 0, 64, 8).pad(32).data(256).Bytes(), "offset 64, want 32"},
		"decreasing":                      {file(2, 0).tensor("x", 0, 64, 8).tensor("y", 0, 0, 8).pad(32).data(256).Bytes(), "offset 64, want 0"},
		"offsets for another alignment": {file(2, 1).key(keyAlignment, typeUint32).put(uint32(64)).tensor("x", 0, 0, 8).tensor("y", 0, 32, 8).
			pad(64).data(256).Bytes(), "offset 32, want 64"},
		"sum of sizes overflows": {file(3, 0).tensor("x", 24, 0, 1<<61).tensor("y", 24, 1<<61, 1<<61).tensor("z", 24, 1<<62, 1<<61).data(64).Bytes(),
			"more than 2⁶² bytes"},
		"data one byte short": {file(1, 0).tensor("x", 0, 0, 8).pad(32).data(31).Bytes(), `tensor "x": 32 bytes wanted, 31 bytes are left`},
		"no data":             {file(1, 0).tensor("x", 0, 0, 8).Bytes(), `tensor "x"`},
		"tensor of 1 TB":      {one(0, 0, 1<<38), "1099511627776 bytes wanted"},
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range refused() {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(c.data)
			var fault *FormatError
			switch {
			case err == nil || f != nil:
				t.Fatalf("accepted: %v, %v", f, err)
			case !errors.As(err, &fault):
				t.Fatalf("error is a %T: %v", err, err)
			case !strings.Contains(err.Error(), c.want):
				t.Fatalf("got  %v\nwant %s", err, c.want)
			case fault.Offset > int64(len(c.data)):
				t.Fatalf("position %d of %d: %v", fault.Offset, len(c.data), err)
			}
		})
	}
}

// TestParseTruncated cuts a valid file at every byte.
func TestParseTruncated(t *testing.T) {
	whole := model()
	f, err := Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	last := f.Tensor("output_norm.weight")
	end := bytes.Index(whole, []byte("output_norm")) // the data begins after it
	for n := range whole {
		f, err := Parse(whole[:n])
		if err == nil && n < end+len(last.Data) {
			t.Errorf("%d of %d bytes: accepted", n, len(whole))
		}
		var fault *FormatError
		if err != nil && (f != nil || !errors.As(err, &fault)) {
			t.Errorf("%d bytes: %v, %T %v", n, f, err, err)
		}
	}
	if n := len(whole) - 22; !strings.Contains(fail(whole[:n-1]), "output_norm.weight") || fail(whole[:n]) != "" {
		t.Errorf("without the last padding: %s, %s", fail(whole[:n-1]), fail(whole[:n]))
	}
}

func fail(b []byte) string {
	if _, err := Parse(b); err != nil {
		return err.Error()
	}
	return ""
}

// TestParseManyKeys: a million keys take time in proportion, and no more
// memory than twice the file.
func TestParseManyKeys(t *testing.T) {
	b := many(1e6)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*uint64(len(b)) {
		t.Errorf("%d bytes allocated for a file of %d", got, len(b))
	}
	if n, err := f.Uint("key.00999999"); err != nil || n != 999999 {
		t.Error(n, err)
	}
}

// TestParseMemory: what is refused allocates next to nothing, and lists no
// more than twice the file.
func TestParseMemory(t *testing.T) {
	used := func(b []byte) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, _ := Parse(b)
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(f)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name, c := range refused() {
		if got := used(c.data); got > 1<<16 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(c.data))
		}
	}
	const n = 1 << 20
	for name, b := range map[string][]byte{
		"empty strings":     file(0, 1).list("k", typeString, n).data(8 * n).Bytes(),
		"bytes":             file(0, 1).list("k", typeUint8, n).data(n).Bytes(),
		"string of 10 MB":   file(0, 1).key("k", typeString).str(strings.Repeat("x", 10<<20)).Bytes(),
		"claims more keys":  file(0, 5<<20/13).key("k", typeString).str(strings.Repeat("x", 5<<20)).Bytes(),
		"claims more infos": file(5<<20/40, 0).data(5 << 20).Bytes(),
	} {
		if got := used(b); got > 2*uint64(len(b))+1<<16 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(b))
		}
	}
}

func TestGetters(t *testing.T) {
	b, err := os.ReadFile("testdata/all.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	eq := func(what string, got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, %v, want %v", what, got, err, want)
		}
	}
	s, err := f.String("v.string")
	eq("String", s, err, "grüß dich")
	for key, want := range map[string]uint64{"v.u8": 200, "v.u16": 60000, "v.u32": 4000000000, "v.u64": 1 << 63} {
		n, err := f.Uint(key)
		eq(key, n, err, want)
	}
	for key, want := range map[string]int64{"v.i8": -100, "v.i16": -30000, "v.i32": -2000000000, "v.i64": -1 << 62, "v.u32": 4000000000} {
		n, err := f.Int(key)
		eq(key, n, err, want)
	}
	x, err := f.Float("v.f32")
	eq("Float", x, err, 1.5)
	x, err = f.Float("v.f64")
	eq("Float", x, err, 0.1)
	y, err := f.Bool("v.true")
	eq("Bool", y, err, true)
	for _, key := range []string{"a.u8", "a.i8", "a.u16", "a.i16", "a.u32", "a.i32", "a.i64"} {
		n, err := f.Ints(key)
		if err != nil || len(n) != 2 || n[0] != 1 {
			t.Errorf("%s is %v, %v", key, n, err)
		}
	}
	fl, err := f.Floats("a.f32")
	eq("Floats", fl, err, []float64{0.5, -0.25})
	ss, err := f.Strings("a.string")
	eq("Strings", ss, err, []string{"a", "", "日本"})
	d, err := f.UintOr("none", 7)
	eq("UintOr", d, err, uint64(7))
	so, err := f.StringOr("none", "x")
	eq("StringOr", so, err, "x")

	if _, err := f.Uint("none"); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	for what, get := range map[string]func() error{
		`key "v.string": is string, want an unsigned integer`: func() error { _, err := f.Uint("v.string"); return err },
		`key "v.i8": is int8 -100, want an unsigned integer`:  func() error { _, err := f.Uint("v.i8"); return err },
		`key "v.u64": is uint64, want an integer`:             func() error { _, err := f.Int("v.u64"); return err },
		`key "v.u32": is uint32 4000000000, want string`:      func() error { _, err := f.String("v.u32"); return err },
		`key "v.u32": is uint32 4000000000, want a float`:     func() error { _, err := f.FloatOr("v.u32", 1); return err },
		`key "v.u8": is uint8 200, want bool`:                 func() error { _, err := f.Bool("v.u8"); return err },
		`key "a.u64": is []uint64, want a list of integers`:   func() error { _, err := f.Ints("a.u64"); return err },
		`key "a.u8": is []uint8, want a list of floats`:       func() error { _, err := f.Floats("a.u8"); return err },
		`key "v.string": is string, want []string`:            func() error { _, err := f.Strings("v.string"); return err },
	} {
		var fault *FormatError
		if err := get(); !errors.As(err, &fault) || !strings.Contains(err.Error(), what) || errors.Is(err, ErrNoKey) {
			t.Errorf("got  %v\nwant %s", err, what)
		}
	}
}
