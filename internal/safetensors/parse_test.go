package safetensors

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// raw is a file of a header and data.
func raw(header, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

// long is a file whose header says to have n bytes.
func long(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// one is the header of a tensor x.
func one(dtype, shape, offsets string) string {
	return `{"x":{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}}`
}

// two is the header of tensors a and b, both of bytes.
func two(a, b string) string {
	n := func(offsets string) string {
		var begin, end int
		for i, s := range strings.Split(offsets, ",") {
			v, _ := strconv.Atoi(s)
			if i == 0 {
				begin = v
			} else {
				end = v
			}
		}
		return strconv.Itoa(end - begin)
	}
	return `{"a":{"dtype":"U8","shape":[` + n(a) + `],"data_offsets":[` + a + `]},"b":{"dtype":"U8","shape":[` + n(b) + `],"data_offsets":[` + b + `]}}`
}

type refusal struct {
	name string
	data []byte
	want string
}

func refused() []refusal {
	max63 := strconv.Itoa(math.MaxInt64)
	return []refusal{
		{"empty file", nil, "has 0 bytes, want 8"},
		{"seven bytes", make([]byte, 7), "has 7 bytes, want 8"},
		{"header length 0", long(0, "{}"), "is 0 bytes long, want 2"},
		{"header length 1", long(1, "{"), "is 1 bytes long, want 2"},
		{"header longer than the file", long(10, "{}"), "is 10 bytes long, but 2 follow"},
		{"header of 100 MB and one", long(100_000_001, "{}"), "at most 100000000 allowed"},
		{"header length 2^63", long(1<<63, "{}"), "at most 100000000 allowed"},
		{"header length 2^64-1", long(math.MaxUint64, "{}"), "at most 100000000 allowed"},
		{"header is no object", raw("[]", ""), `begins with '[', want {`},
		{"white space before the header", raw(" {}", ""), `begins with ' ', want {`},
		{"a pickle", raw("\x80\x02}q\x00.", ""), `begins with '\u0080'`},
		{"header ends early", raw(`{"x":`, ""), "is no JSON"},
		{"comma at the end", raw(`{"__metadata__":{},}`, ""), "is no JSON"},
		{"no comma", raw(`{"__metadata__":{"a":"b""c":"d"}}`, ""), "is no JSON"},
		{"key is no string", raw(`{1:{}}`, ""), "is no JSON"},
		{"not UTF-8", raw("{\"\xff\":{}}", ""), "is not UTF-8"},
		{"half a surrogate pair", raw(`{"\ud800":{}}`, ""), "half a character"},
		{"second half alone", raw(`{"\\\uDC00":{}}`, ""), "half a character"},
		{"bytes after the JSON", raw(`{}x`, ""), "more after the end"},
		{"a second object", raw(`{}{}`, ""), "more after the end of its JSON: an object"},
		{"NUL as padding", raw("{}\x00", ""), "more after the end"},
		{"deep JSON", raw(`{"x":`+strings.Repeat("[", 1<<20), ""), `is an array, want an object`},
		{"deep shape", raw(one("U8", strings.Repeat("[", 1<<20), "[0,1]"), ""), "shape has an array"},
		{"deep metadata", raw(`{"__metadata__":{"a":`+strings.Repeat(`{"a":`, 1<<18), ""), "is an object, want a string"},
		{"tensor twice", raw(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, ""), `key "x" is there twice`},
		{"tensor twice by an escape", raw(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, ""), `key "x" is there twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, ""), `key "__metadata__" is there twice`},
		{"metadata's key twice", raw(`{"__metadata__":{"a":"1","a":"2"}}`, ""), `key "a" is there twice`},
		{"field twice", raw(`{"x":{"dtype":"U8","dtype":"U8","shape":[]}}`, ""), `key "dtype" is there twice`},
		{"metadata is null", raw(`{"__metadata__":null}`, ""), "__metadata__ is null, want an object"},
		{"metadata is a list", raw(`{"__metadata__":[]}`, ""), "__metadata__ is an array"},
		{"metadata's value is a number", raw(`{"__metadata__":{"a":1}}`, ""), `the value of "a" is a number, want a string`},
		{"tensor is a string", raw(`{"x":"y"}`, ""), `tensor "x" is a string, want an object`},
		{"field missing", raw(`{"x":{"dtype":"U8","shape":[1]}}`, "1"), "has 2 of the fields"},
		{"field unknown", raw(`{"x":{"dtype":"U8","shape":[],"stride":[],"data_offsets":[0,1]}}`, "1"), `field "stride" is none of the format`},
		{"dtype unknown", raw(one("Q4", "[1]", "[0,1]"), "1"), `type "Q4" is none`},
		{"dtype in small letters", raw(one("f32", "[1]", "[0,4]"), "1234"), `type "f32" is none`},
		{"dtype is a number", raw(`{"x":{"dtype":1}}`, ""), "dtype is a number"},
		{"shape is a number", raw(one("U8", "1", "[0,1]"), "1"), "shape is a number, want an array"},
		{"shape has a string", raw(one("U8", `["1"]`, "[0,1]"), "1"), "shape has a string"},
		{"dimension negative", raw(one("U8", "[-1]", "[0,1]"), "1"), "shape has -1"},
		{"dimension with a fraction", raw(one("U8", "[1.0]", "[0,1]"), "1"), "shape has 1.0"},
		{"dimension with an exponent", raw(one("U8", "[1e0]", "[0,1]"), "1"), "shape has 1e0"},
		{"dimension 2^63", raw(one("U8", "[9223372036854775808]", "[0,1]"), "1"), "shape has 9223372036854775808"},
		{"dimension 2^64", raw(one("U8", "[18446744073709551616]", "[0,1]"), "1"), "shape has 18446744073709551616"},
		{"65 dimensions", raw(one("U8", "[1"+strings.Repeat(",1", 64)+"]", "[0,1]"), "1"), "more than 64 numbers"},
		{"product wraps to 1", raw(one("U8", "[4294967297,4294967297,18446744073709551615]", "[0,1]"), "1"), "shape has 18446744073709551615"},
		{"product wraps to 0", raw(one("U8", "[4294967296,4294967296]", "[0,0]"), ""), "too many numbers"},
		{"product past int64", raw(one("U8", "[4294967296,2147483648]", "[0,0]"), ""), "too many numbers"},
		{"product of bytes wraps", raw(one("F64", "[2305843009213693952]", "[0,0]"), ""), "too many numbers"},
		{"product of bytes past int64", raw(one("F64", "["+max63+"]", "[0,0]"), ""), "too many numbers"},
		{"product wraps before a 0", raw(one("U8", "["+max63+","+max63+",0]", "[0,0]"), ""), "too many numbers"},
		{"half a byte", raw(one("F4", "[3]", "[0,2]"), "12"), "is 12 bits, not whole bytes"},
		{"two bits short", raw(one("F6_E2M3", "[1]", "[0,1]"), "1"), "is 6 bits, not whole bytes"},
		{"offsets of one number", raw(one("U8", "[1]", "[0]"), "1"), "data_offsets has 1 numbers"},
		{"offsets of three numbers", raw(one("U8", "[1]", "[0,1,2]"), "1"), "data_offsets has more than 2"},
		{"offsets negative", raw(one("U8", "[1]", "[-1,0]"), "1"), "data_offsets has -1"},
		{"offsets backwards", raw(one("U8", "[1]", "[1,0]"), "1"), "run backwards"},
		{"offsets past the end", raw(one("U8", "[2]", "[0,2]"), "1"), "run past the 1 bytes"},
		{"offsets at 2^63-1", raw(one("U8", "[0]", "["+max63+","+max63+"]"), "1"), "run past the 1 bytes"},
		{"shape larger than offsets", raw(one("F32", "[2]", "[0,4]"), "1234"), "are 4 bytes, shape [2] of F32 is 8"},
		{"shape smaller than offsets", raw(one("F32", "[1]", "[0,8]"), "12345678"), "are 8 bytes, shape [1] of F32 is 4"},
		{"overlap", raw(two("0,2", "1,3"), "123"), "overlap the tensor that ends at 2"},
		{"one inside the other", raw(two("0,4", "1,3"), "1234"), "overlap the tensor that ends at 4"},
		{"at the same place", raw(two("0,2", "0,2"), "12"), "overlap the tensor that ends at 2"},
		{"an empty one inside the other", raw(two("0,4", "2,2"), "1234"), "overlap the tensor that ends at 4"},
		{"hole in front", raw(one("U8", "[1]", "[1,2]"), "12"), "leave a hole behind the tensor that ends at 0"},
		{"hole between", raw(two("0,1", "2,3"), "123"), "leave a hole behind the tensor that ends at 1"},
		{"bytes behind the last tensor", raw(one("U8", "[1]", "[0,1]"), "12"), "1 bytes follow the last tensor"},
		{"bytes behind none", raw("{}", "1"), "1 bytes follow the last tensor"},
		{"last tensor cut", raw(two("0,1", "1,3"), "12"), "run past the 2 bytes"},
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range refused() {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.data)
			var fault *FormatError
			if f != nil || !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %s", f, err, c.want)
			}
			if err != nil && len(err.Error()) > 700 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestParseAccepts: what looks odd but is in the format.
func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want []string
	}{
		{"nothing", raw("{}", ""), nil},
		{"white space inside and behind", raw("{ \"x\" :\n{\"shape\":[ ],\"dtype\":\"U8\",\"data_offsets\":[0,\t1]}} \n ", "1"), []string{"x"}},
		{"order of the header is not that of the data", raw(two("2,3", "0,2"), "123"), []string{"b", "a"}},
		{"empty tensors at one place", raw(two("0,0", "0,0"), ""), []string{"a", "b"}},
		{"an empty one at the end", raw(two("0,1", "1,1"), "1"), []string{"a", "b"}},
		{"surrogate pair", raw(`{"\ud83d\ude00":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "1"), []string{"😀"}},
		{"a backslash, then ud800", raw(`{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "1"), []string{`\ud800`}},
		{"0 times much", raw(one("F64", "[0,9223372036854775807,9223372036854775807]", "[0,0]"), ""), []string{"x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.data)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Tensors) != len(c.want) {
				t.Fatalf("%d tensors, want %q", len(f.Tensors), c.want)
			}
			for i, name := range c.want {
				if f.Tensors[i].Name != name || f.Tensor(name) != &f.Tensors[i] {
					t.Errorf("tensor %d is %q, want %q", i, f.Tensors[i].Name, name)
				}
			}
			if f.Tensor("none") != nil {
				t.Error("found a tensor that is not there")
			}
		})
	}
}

// TestParseMemory: a header takes a bounded multiple of its size, whatever it
// is made of.
func TestParseMemory(t *testing.T) {
	tensors := func() string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range 20000 {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + strconv.Itoa(i) + `":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
		}
		return b.String() + "}"
	}
	for name, header := range map[string]string{
		"tensors":  tensors(),
		"deep":     `{"x":` + strings.Repeat("[", 1<<20),
		"shape":    one("U8", "["+strings.Repeat("1,", 1<<19)+"1]", "[0,1]"),
		"a name":   `{"` + strings.Repeat("x", 1<<20) + `":0}`,
		"escapes":  `{"` + strings.Repeat(`\u0041`, 1<<18) + `":0}`,
		"metadata": `{"__metadata__":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`,
	} {
		b := raw(header, "")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Parse(b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 40*uint64(len(b)) {
			t.Errorf("%s: %d bytes for a header of %d", name, took, len(b))
		}
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
