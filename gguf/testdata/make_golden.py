"""Writes files by gguf-py 0.19 that the tests read: python make_golden.py

all.gguf            every type of value, tensors of 1 to 4 dimensions
split-0000?-of-00003.gguf  tensors t0 to t4, two a shard
"""
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType as V, GGUFWriter

here = Path(__file__).parent

w = GGUFWriter(here / "all.gguf", "llama")
w.add_uint8("v.u8", 200)
w.add_int8("v.i8", -100)
w.add_uint16("v.u16", 60000)
w.add_int16("v.i16", -30000)
w.add_uint32("v.u32", 4000000000)
w.add_int32("v.i32", -2000000000)
w.add_uint64("v.u64", 1 << 63)
w.add_int64("v.i64", -(1 << 62))
w.add_float32("v.f32", 1.5)
w.add_float64("v.f64", 0.1)
w.add_bool("v.true", True)
w.add_bool("v.false", False)
w.add_string("v.string", "grüß dich")
for name, typ, values in [("u8", V.UINT8, [1, 255]), ("i8", V.INT8, [1, -128]), ("u16", V.UINT16, [1, 65535]),
                          ("i16", V.INT16, [1, -32768]), ("u32", V.UINT32, [1, 4294967295]), ("i32", V.INT32, [1, -2147483648]),
                          ("u64", V.UINT64, [1, 18446744073709551615]), ("i64", V.INT64, [1, -9223372036854775808]),
                          ("f32", V.FLOAT32, [0.5, -0.25]), ("f64", V.FLOAT64, [0.1, -0.2]), ("bool", V.BOOL, [True, False]),
                          ("string", V.STRING, ["a", "", "日本"])]:
    w.add_key_value("a." + name, values, V.ARRAY, sub_type=typ)
w.add_tensor("one", np.arange(3, dtype=np.float32))
w.add_tensor("two", np.arange(6, dtype=np.float16).reshape(2, 3))
w.add_tensor("three", np.arange(24, dtype=np.int32).reshape(2, 3, 4))
w.add_tensor("four", np.arange(16, dtype=np.float64).reshape(2, 1, 4, 2))
w.add_tensor("q", np.arange(2 * 34, dtype=np.uint8).reshape(2, 34), raw_dtype=GGMLQuantizationType.Q8_0)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

w = GGUFWriter(here / "split.gguf", "llama", split_max_tensors=2)
w.add_uint32("llama.block_count", 0)
for i in range(5):
    w.add_tensor(f"t{i}", np.full((2, 4), i, np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
