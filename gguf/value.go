package gguf

// Types of values, numbered as in the format.
const (
	typeUint8 = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// typeSizes are the bytes of one value; a string has a length of 8 at least.
var typeSizes = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8}

// value reads one value of a type.
func (c *cursor) value(typ uint32) any {
	switch typ {
	case typeUint8:
		return c.u8()
	case typeInt8:
		return int8(c.u8())
	case typeUint16:
		return c.u16()
	case typeInt16:
		return int16(c.u16())
	case typeUint32:
		return c.u32()
	case typeInt32:
		return int32(c.u32())
	case typeFloat32:
		return c.f32()
	case typeBool:
		return c.bool()
	case typeString:
		return c.string()
	case typeArray:
		return c.array()
	case typeUint64:
		return c.u64()
	case typeInt64:
		return int64(c.u64())
	case typeFloat64:
		return c.f64()
	}
	c.fail(c.pos-4, "value type %d, want 0 to 12", typ)
	return nil
}

func (c *cursor) array() any {
	pos := c.pos
	typ := c.u32()
	if typ == typeArray || typ > typeFloat64 {
		c.fail(pos, "array of value type %d, want 0 to 8 or 10 to 12", typ)
		return nil
	}
	n := c.count("array elements", typeSizes[typ])
	switch typ {
	case typeUint8:
		return list(c, n, c.u8)
	case typeInt8:
		return list(c, n, func() int8 { return int8(c.u8()) })
	case typeUint16:
		return list(c, n, c.u16)
	case typeInt16:
		return list(c, n, func() int16 { return int16(c.u16()) })
	case typeUint32:
		return list(c, n, c.u32)
	case typeInt32:
		return list(c, n, func() int32 { return int32(c.u32()) })
	case typeFloat32:
		return list(c, n, c.f32)
	case typeBool:
		return list(c, n, c.bool)
	case typeString:
		return c.strings(n)
	case typeUint64:
		return list(c, n, c.u64)
	case typeInt64:
		return list(c, n, func() int64 { return int64(c.u64()) })
	default:
		return list(c, n, c.f64)
	}
}

func list[T any](c *cursor, n int, next func() T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = next()
	}
	if c.err != nil {
		return nil
	}
	return all
}

// skip goes over a value of a type without keeping it.
func (c *cursor) skip(typ uint32) {
	n := 1
	if typ == typeArray {
		pos := c.pos
		if typ = c.u32(); typ == typeArray {
			c.fail(pos, "array of arrays")
			return
		}
		if typ <= typeFloat64 {
			n = c.count("array elements", typeSizes[typ])
		}
	}
	switch {
	case typ > typeFloat64:
		c.fail(c.pos-4, "value type %d, want 0 to 12", typ)
	case typ == typeString:
		for i := 0; i < n && c.err == nil; i++ {
			c.bytes()
		}
	default:
		c.take(n * typeSizes[typ])
	}
}
