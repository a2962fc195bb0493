package store

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// columns turns arguments into what both databases keep: BIGINT and TEXT.
func columns(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		out[i] = column(arg)
	}
	return out
}

func column(arg any) any {
	switch v := arg.(type) {
	case time.Time:
		return micros(v)
	case time.Duration:
		return v.Microseconds()
	case uint64:
		return int64(min(v, math.MaxInt64))
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.String:
		return text(v.String())
	case reflect.Bool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Uint32:
		return int64(v.Uint())
	}
	return arg
}

// text drops what PostgreSQL cannot keep in TEXT. Strings of our own never hold such octets; those of strangers may.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

// asInt scans an integer column into something that is made of it.
type asInt func(int64)

func (f asInt) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%T is no integer", src)
	}
	f(v)
	return nil
}

// asText scans a text column into something that is made of it.
type asText func(string) error

func (f asText) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return f(v)
	case []byte:
		return f(string(v))
	}
	return fmt.Errorf("%T is no text", src)
}

func at(t *time.Time) asInt        { return func(v int64) { *t = fromMicros(v) } }
func lasts(d *time.Duration) asInt { return func(v int64) { *d = time.Duration(v) * time.Microsecond } }
func truth(b *bool) asInt          { return func(v int64) { *b = v != 0 } }

func fromJSON(v any) asText {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return json.Unmarshal([]byte(s), v)
	}
}

func fromHex(b *[]byte) asText {
	return func(s string) (err error) {
		if *b = nil; s != "" {
			*b, err = hex.DecodeString(s)
		}
		return err
	}
}

func fromBase64(b *[]byte) asText {
	return func(s string) (err error) {
		if *b = nil; s != "" {
			*b, err = base64.StdEncoding.DecodeString(s)
		}
		return err
	}
}

// toJSON writes what nobody asks the database about. The types that come here always marshal.
func toJSON(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// marks returns "$from, $from+1, …" for n arguments.
func marks(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}
