package crdt

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// Raw is a value that is not decoded: one canonical msgpack element. A lens
// of Raw holds values of any shape, those of other programs too. FromJSON and
// ToJSON translate; it reads and writes itself within JSON and within
// msgpack. An empty Raw is no value, and not nil, which is the byte c0.
type Raw []byte

// Encode returns the canonical msgpack form of v. Scalars, strings and byte
// slices become what they are; other types go through vmihailenco/msgpack, so
// its tags (`msgpack:"name,omitempty"`) and interfaces shape them. Errors wrap
// ErrValue.
func Encode[T any](v T) (Raw, error) { return encode(nil, v) }

// encode is Encode, which may take the memory of dst.
func encode[T any](dst []byte, v T) (Raw, error) {
	if b, ok := appendScalar(dst[:0], v); ok {
		return b, nil
	}
	if raw, ok := any(v).(Raw); ok {
		return Canonical(raw)
	}
	b, err := msgpack.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %T does not encode: %w", ErrValue, v, err)
	}
	return Canonical(b)
}

// appendScalar appends v if it is of one of the types that need no library.
func appendScalar(dst []byte, v any) ([]byte, bool) {
	switch x := v.(type) {
	case string:
		return AppendString(dst, x), true
	case []byte:
		if x == nil {
			return AppendNil(dst), true
		}
		return AppendBytes(dst, x), true
	case bool:
		return AppendBool(dst, x), true
	case int:
		return AppendInt(dst, int64(x)), true
	case int32:
		return AppendInt(dst, int64(x)), true
	case int64:
		return AppendInt(dst, x), true
	case uint:
		return AppendUint(dst, uint64(x)), true
	case uint32:
		return AppendUint(dst, uint64(x)), true
	case uint64:
		return AppendUint(dst, x), true
	case float32:
		return appendFloat32(dst, x), true
	case float64:
		return AppendFloat(dst, x), true
	}
	return dst, false
}

// appendFloat32 appends a 32-bit float, bit for bit.
func appendFloat32(dst []byte, f float32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0xca), math.Float32bits(f))
}

// Decode is the inverse of Encode, for bytes that nobody vouches for. A number
// decodes into a T that is any numeric type that can hold it: integers exactly,
// into floats as the nearest one. Within other types numbers decode as
// vmihailenco/msgpack does it, which cuts them to the width of their field, and
// an any becomes the narrowest type, such as int8: a Raw serves better there.
// Errors wrap ErrValue.
func Decode[T any](b []byte) (T, error) {
	var v, zero T
	if err := decodeInto(b, &v); err != nil {
		return zero, err
	}
	return v, nil
}

// decodeInto decodes b into what dst points at.
func decodeInto(b []byte, dst any) (err error) {
	switch p := dst.(type) {
	case *Raw:
		*p, err = Canonical(b)
		return err
	case *[]byte:
		return decodeText(b, reflect.ValueOf(p).Elem())
	case msgpack.CustomDecoder, msgpack.Unmarshaler, encoding.BinaryUnmarshaler, encoding.TextUnmarshaler:
		return decodeStruct(b, dst)
	}
	v := reflect.ValueOf(dst).Elem()
	switch v.Kind() {
	case reflect.Bool, reflect.String:
		return decodeText(b, v)
	case reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return decodeNumber(b, v)
	}
	return decodeStruct(b, dst)
}

// decodeText decodes a boolean, a string or a byte slice; the library would
// take a string for bytes and the other way round.
func decodeText(b []byte, v reflect.Value) error {
	if readText(b, v) {
		return nil
	}
	canon, err := Canonical(b) // perhaps it is only longer than need be
	if err != nil {
		return err
	}
	if !readText(canon, v) {
		return misfit(canon, v.Type())
	}
	return nil
}

func readText(b []byte, v reflect.Value) bool {
	r := NewReader(b)
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(r.Bool())
	case v.Kind() == reflect.String:
		v.SetString(r.String(len(b)))
	case !r.Nil():
		v.SetBytes(slices.Clone(r.Bytes(len(b))))
	}
	return r.Done() == nil
}

// misfit says that a value is nothing for a Go type.
func misfit(canon Raw, t reflect.Type) error {
	return fmt.Errorf("%w: %s does not fit a Go %s", ErrValue, shapeOf(canon), t)
}

// decodeNumber does what vmihailenco/msgpack does not: it never cuts a number
// to the width of its target.
func decodeNumber(b []byte, v reflect.Value) error {
	if x, ok := parseNumber(b); ok && setNumber(x, v) {
		return nil
	}
	canon, err := Canonical(b)
	if err != nil {
		return err
	}
	return misfit(canon, v.Type())
}

// setNumber sets v to x, and reports whether it can hold it.
func setNumber(x number, v reflect.Value) bool {
	switch {
	case v.CanInt():
		i, ok := x.int64()
		if ok = ok && !v.OverflowInt(i); ok {
			v.SetInt(i)
		}
		return ok
	case v.CanUint():
		u, ok := x.uint64()
		if ok = ok && !v.OverflowUint(u); ok {
			v.SetUint(u)
		}
		return ok
	}
	f := x.float64()
	if v.OverflowFloat(f) {
		return false
	}
	v.SetFloat(f)
	return true
}

// decodeStruct hands b to vmihailenco/msgpack, once it is canonical: then no
// length in it exceeds what is there, and nothing in it recurses too deep.
// What is left are the panics of reflection, such as an array for a key of a
// map[any]any.
func decodeStruct(b []byte, dst any) (err error) {
	canon, err := Canonical(b)
	if err != nil {
		return err
	}
	t := reflect.TypeOf(dst).Elem()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", misfit(canon, t), p)
		}
	}()
	if err := msgpack.Unmarshal(canon, dst); err != nil {
		return fmt.Errorf("%w: %w", misfit(canon, t), err)
	}
	return nil
}

// String returns r as JSON, for people.
func (r Raw) String() string {
	text, err := ToJSON(r)
	if err != nil {
		return "<" + err.Error() + ">"
	}
	return string(text)
}

// MarshalJSON implements json.Marshaler by ToJSON.
func (r Raw) MarshalJSON() ([]byte, error) { return ToJSON(r) }

// UnmarshalJSON implements json.Unmarshaler by FromJSON.
func (r *Raw) UnmarshalJSON(text []byte) (err error) {
	*r, err = FromJSON(text)
	return err
}

// MarshalMsgpack implements msgpack.Marshaler: within another value, r is
// itself, and nil if it is empty.
func (r Raw) MarshalMsgpack() ([]byte, error) {
	if len(r) == 0 {
		return AppendNil(nil), nil
	}
	return r, nil
}

// UnmarshalMsgpack implements msgpack.Unmarshaler.
func (r *Raw) UnmarshalMsgpack(b []byte) (err error) {
	*r, err = Canonical(b)
	return err
}
