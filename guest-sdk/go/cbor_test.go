package corovan

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, value := range []any{
		nil, true, false, int64(0), int64(23), int64(24), int64(-1), int64(math.MinInt64), int64(math.MaxInt64),
		uint64(math.MaxUint64), 2.5, math.Inf(-1), "", "ä", strings.Repeat("x", 70000), []byte{0, 255},
		[]any{int64(1), "two", []any{}}, map[string]any{"a": int64(1), "b": nil},
	} {
		bytes, err := encodeCBOR(nil, value)
		if err != nil {
			t.Fatalf("%v: %v", value, err)
		}
		got, err := decodeCBOR(bytes)
		if err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%v became %v, %v", value, got, err)
		}
	}
}

func TestShortFloatsAreRead(t *testing.T) {
	for bytes, expected := range map[string]float64{
		"\xf9\x3c\x00": 1, "\xf9\xc4\x00": -4, "\xf9\x00\x01": 0x1p-24, "\xf9\x7c\x00": math.Inf(1), "\xfa\x3f\xc0\x00\x00": 1.5,
	} {
		if got, err := decodeCBOR([]byte(bytes)); err != nil || got != expected {
			t.Errorf("%x is %v, not %v (%v)", bytes, expected, got, err)
		}
	}
}

func TestDamagedBytesAreAnErrorAndReserveNothing(t *testing.T) {
	deep := strings.Repeat("\x81", 1000)
	for _, bytes := range []string{"", "\x82\x01", "\x63ab", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "\x9f\xff", "\x01\x01", "\xa1\x01\x01", deep} {
		if item, err := decodeCBOR([]byte(bytes)); err == nil {
			t.Errorf("%.20x is read as %v", bytes, item)
		}
	}
}

func TestScanTakesNumbersByValueAndTellsWhatIsWrong(t *testing.T) {
	var n int
	var x float64
	var name string
	if err := (Args{2.0, int64(2), "a"}).Scan(&n, &x, &name); err != nil || n != 2 || x != 2 || name != "a" {
		t.Error(n, x, name, err)
	}
	for expected, err := range map[string]error{
		`argument 1: expected a number, found "abc"`:                  Args{"abc"}.Scan(&x),
		"argument 1: expected a whole number, found 2.5":              Args{2.5}.Scan(&n),
		"argument 2: expected text, found null":                       Args{int64(1), nil}.Scan(&n, &name),
		"expected 1 arguments, found 0":                               Args{}.Scan(&x),
		"argument 1: expected a whole number, not negative, found -1": Args{int64(-1)}.Scan(new(uint64)),
	} {
		if err == nil || err.Error() != expected {
			t.Errorf("%v, not %q", err, expected)
		}
	}
}
