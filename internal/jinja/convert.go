package jinja

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// convert makes a value of the language of what a caller gave, level deep.
func convert(v any, level int) (any, error) {
	if level > maxNesting {
		return nil, fmt.Errorf("nested more than %d levels deep", maxNesting)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v, nil
	case string:
		return strings.ToValidUTF8(v, "\ufffd"), nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint64:
		return integer(new(big.Int).SetUint64(v)), nil
	case float32:
		return float64(v), nil
	case json.Number:
		return number(string(v))
	case json.RawMessage:
		if len(v) == 0 {
			return nil, nil
		}
		return decodeJSON(v)
	case []any:
		return convertList(v, level)
	case []string:
		return convertList(v, level)
	case []map[string]any:
		return convertList(v, level)
	case []*Map:
		return convertList(v, level)
	case []json.RawMessage:
		return convertList(v, level)
	case *list:
		return v, nil // from decodeJSON
	case map[string]any:
		return convertMap(v, level)
	case map[string]string:
		return convertMap(v, level)
	case *Map:
		return convertOrdered(v, level)
	case Map:
		return convertOrdered(&v, level)
	}
	return nil, fmt.Errorf("a %T cannot be passed to a template; pass maps, lists, strings, numbers, bools, nil or JSON", v)
}

func convertList[T any](items []T, level int) (any, error) {
	l := &list{items: make([]any, len(items))}
	for i, item := range items {
		v, err := convert(item, level+1)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		l.items[i] = v
	}
	return l, nil
}

// convertMap orders the keys of a Go map by name.
func convertMap[T any](from map[string]T, level int) (any, error) {
	keys := make([]string, 0, len(from))
	for k := range from {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m := &Map{}
	for _, k := range keys {
		m.Set(k, from[k])
	}
	return convertOrdered(m, level)
}

func convertOrdered(from *Map, level int) (any, error) {
	if from == nil {
		return nil, nil
	}
	m := &Map{}
	for i, k := range from.keys {
		v, err := convert(from.values[i], level+1)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", k, err)
		}
		if s, ok := k.(string); ok {
			k = strings.ToValidUTF8(s, "\ufffd")
		}
		m.Set(k.(string), v)
	}
	return m, nil
}
