package corovan

import (
	"fmt"
	"math"
)

// Args are a coroutine's arguments, as they were given: nil, bool, int64, uint64, float64, string, []byte, []any or
// map[string]any each.
type Args []any

// Scan stores the arguments in the variables that the pointers point at: *bool, *int, *int64, *uint64, *float64, *string, *[]byte
// or *any. Numbers are taken by value: 2 fits a float64 and 2.0 an int. The error is meant for whoever gave the arguments;
// Run reports it as a bad argument.
func (args Args) Scan(pointers ...any) error {
	if len(args) != len(pointers) {
		return badArgument(fmt.Sprintf("expected %d arguments, found %d", len(pointers), len(args)))
	}
	for i, pointer := range pointers {
		if expected := store(args[i], pointer); expected != "" {
			return badArgument(fmt.Sprintf("argument %d: expected %s, found %s", i+1, expected, found(args[i])))
		}
	}
	return nil
}

type badArgument string

func (text badArgument) Error() string { return string(text) }

// store returns what was expected where the value does not fit.
func store(value, pointer any) (expected string) {
	ok := false
	switch pointer := pointer.(type) {
	case *any:
		*pointer, ok = value, true
	case *bool:
		*pointer, ok = value.(bool)
		expected = "true or false"
	case *string:
		*pointer, ok = value.(string)
		expected = "text"
	case *[]byte:
		*pointer, ok = value.([]byte)
		expected = "bytes"
	case *float64:
		*pointer, ok = float(value)
		expected = "a number"
	case *int64:
		*pointer, ok = whole(value)
		expected = "a whole number"
	case *int:
		var n int64
		n, ok = whole(value)
		*pointer, ok = int(n), ok && int64(int(n)) == n
		expected = "a whole number"
	case *uint64:
		*pointer, ok = natural(value)
		expected = "a whole number, not negative"
	default:
		panic(fmt.Sprintf("corovan: Scan cannot store into a %T: it takes pointers to the types that its comment names", pointer))
	}
	if ok {
		return ""
	}
	return expected
}

func float(value any) (float64, bool) {
	switch value := value.(type) {
	case float64:
		return value, true
	case int64:
		return float64(value), true
	case uint64:
		return float64(value), true
	}
	return 0, false
}

func whole(value any) (int64, bool) {
	switch value := value.(type) {
	case int64:
		return value, true
	case float64:
		// Both bounds are exact; the upper one is the first number too large.
		if value == math.Trunc(value) && value >= -0x1p63 && value < 0x1p63 {
			return int64(value), true
		}
	}
	return 0, false
}

func natural(value any) (uint64, bool) {
	switch value := value.(type) {
	case uint64:
		return value, true
	case int64:
		return uint64(value), value >= 0
	case float64:
		if value == math.Trunc(value) && value >= 0 && value < 0x1p64 {
			return uint64(value), true
		}
	}
	return 0, false
}

// found tells a person what a value is.
func found(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%.60q", value)
	case []byte:
		return fmt.Sprintf("%d bytes", len(value))
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprint(value)
}
