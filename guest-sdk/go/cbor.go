package corovan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// CBOR, as far as arguments and results need it. In Go a CBOR item is: nil, bool, int64, uint64 (above the largest int64),
// float64, string, []byte, []any, map[string]any.

var errShort = errors.New("the CBOR ends too early")

// maxDepth is the node's own limit, so that an argument can never exhaust the stack.
const maxDepth = 64

type decoder struct{ rest []byte }

// decodeCBOR reads exactly one item.
func decodeCBOR(data []byte) (any, error) {
	d := decoder{data}
	item, err := d.item(0)
	if err == nil && len(d.rest) > 0 {
		err = errors.New("something follows the CBOR item")
	}
	return item, err
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken, nil
}

// head reads the major type, the low five bits, and the value or length of an item.
func (d *decoder) head() (major, info byte, value uint64, err error) {
	first, err := d.take(1)
	if err != nil {
		return 0, 0, 0, err
	}
	major, info = first[0]>>5, first[0]&31
	if info < 24 {
		return major, info, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, 0, errors.New("a CBOR item of unknown length")
	}
	bytes, err := d.take(1 << (info - 24))
	for _, b := range bytes {
		value = value<<8 | uint64(b)
	}
	return major, info, value, err
}

func (d *decoder) item(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("CBOR nested too deeply")
	}
	major, info, value, err := d.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case 0:
		if value > math.MaxInt64 {
			return value, nil
		}
		return int64(value), nil
	case 1:
		if value > math.MaxInt64 {
			return -1 - float64(value), nil
		}
		return -1 - int64(value), nil
	case 2:
		bytes, err := d.take(value)
		return slices.Clone(bytes), err
	case 3:
		bytes, err := d.take(value)
		return string(bytes), err
	case 4:
		return d.array(value, depth)
	case 5:
		return d.object(value, depth)
	case 6:
		return d.item(depth + 1)
	}
	return simple(info, value)
}

func (d *decoder) array(count uint64, depth int) (any, error) {
	// Each item has a byte at least; the room reserved does not follow a claim that cannot be true.
	if count > uint64(len(d.rest)) {
		return nil, errShort
	}
	items := make([]any, 0, count)
	for range count {
		item, err := d.item(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (d *decoder) object(count uint64, depth int) (any, error) {
	entries := map[string]any{}
	for range count {
		key, err := d.item(depth + 1)
		if err != nil {
			return nil, err
		}
		name, isText := key.(string)
		if !isText {
			return nil, fmt.Errorf("a map's key must be text, found %s", found(key))
		}
		if entries[name], err = d.item(depth + 1); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func simple(info byte, value uint64) (any, error) {
	switch info {
	case 20, 21:
		return info == 21, nil
	case 22, 23:
		return nil, nil
	case 25:
		return half(uint16(value)), nil
	case 26:
		return float64(math.Float32frombits(uint32(value))), nil
	case 27:
		return math.Float64frombits(value), nil
	}
	return nil, fmt.Errorf("unknown CBOR value %d", value)
}

func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	value := math.Ldexp(fraction+1024, exponent-25)
	switch {
	case exponent == 0:
		value = math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		value = math.Inf(1)
	case exponent == 31:
		value = math.NaN()
	}
	if bits&0x8000 != 0 {
		return -value
	}
	return value
}

// encodeCBOR appends one item. Beside what decodeCBOR gives it takes any kind of integer, slice and map with text keys.
func encodeCBOR(out []byte, value any) ([]byte, error) {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Invalid:
		return append(out, 0xf6), nil
	case reflect.Bool:
		if v.Bool() {
			return append(out, 0xf5), nil
		}
		return append(out, 0xf4), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n < 0 {
			return appendHead(out, 1, uint64(-1-n)), nil
		}
		return appendHead(out, 0, uint64(v.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendHead(out, 0, v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(append(out, 0xfb), math.Float64bits(v.Float())), nil
	case reflect.String:
		return append(appendHead(out, 3, uint64(v.Len())), v.String()...), nil
	case reflect.Slice, reflect.Array:
		return encodeList(out, v)
	case reflect.Map:
		return encodeMap(out, v)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(out, 0xf6), nil
		}
		return encodeCBOR(out, v.Elem().Interface())
	}
	return nil, fmt.Errorf("a %s has no CBOR form here", v.Type())
}

func encodeList(out []byte, v reflect.Value) ([]byte, error) {
	if bytes, ok := v.Interface().([]byte); ok {
		return append(appendHead(out, 2, uint64(len(bytes))), bytes...), nil
	}
	out = appendHead(out, 4, uint64(v.Len()))
	for i := range v.Len() {
		var err error
		if out, err = encodeCBOR(out, v.Index(i).Interface()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// encodeMap writes the keys in order, so that equal values give equal bytes.
func encodeMap(out []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("the keys of a %s are not text", v.Type())
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	out = appendHead(out, 5, uint64(len(keys)))
	for _, key := range keys {
		var err error
		if out, err = encodeCBOR(out, key.String()); err != nil {
			return nil, err
		}
		if out, err = encodeCBOR(out, v.MapIndex(key).Interface()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func appendHead(out []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(out, major|byte(n))
	case n <= math.MaxUint8:
		return append(out, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(out, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(out, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(out, major|27), n)
}
