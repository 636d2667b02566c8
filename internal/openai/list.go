package openai

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// A List is an array, none of whose elements is null: encoding/json reads that
// as an empty text or a 0, which nobody has sent.
type List[T any] []T

func (l *List[T]) UnmarshalJSON(b []byte) error {
	if !bytes.Contains(b, []byte("null")) { // millions of tokens, say
		return json.Unmarshal(b, (*[]T)(l))
	}
	var items []*T
	if err := json.Unmarshal(b, &items); err != nil || items == nil {
		*l = nil
		return err
	}
	*l = make(List[T], len(items))
	for i, item := range items {
		if item == nil {
			return null[T]()
		}
		(*l)[i] = *item
	}
	return nil
}

// A Map is an object, none of whose values is null.
type Map[T any] map[string]T

func (m *Map[T]) UnmarshalJSON(b []byte) error {
	var items map[string]*T
	if err := json.Unmarshal(b, &items); err != nil || items == nil {
		*m = nil
		return err
	}
	*m = make(Map[T], len(items))
	for name, item := range items {
		if item == nil {
			return null[T]()
		}
		(*m)[name] = *item
	}
	return nil
}

// null is the error of a null where a T has to be.
func null[T any]() error {
	return &json.UnmarshalTypeError{Value: "null", Type: reflect.TypeFor[T]()}
}
