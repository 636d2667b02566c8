package grammar

import (
	"slices"
	"strings"
)

// describes are the keywords that restrict nothing.
var describes = []string{"$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary", "title", "description", "default",
	"example", "examples", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "contentSchema",
	"discriminator", "nullable", "externalDocs", "xml"}

// restrictions are the keywords that are kept, by the type they are about.
var restrictions = map[string][]string{
	"":        {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"},
	"object":  {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
	"array":   {"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"},
	"string":  {"minLength", "maxLength", "pattern", "format"},
	"number":  {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
	"boolean": nil,
	"null":    nil,
}

// unsupported are keywords of JSON schema that restrict and are not kept.
var unsupported = []string{"not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "patternProperties", "propertyNames",
	"unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains", "$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"}

// aboutType is the type that a keyword is about, "" for all.
func aboutType(key string) (string, bool) {
	for t, keys := range restrictions {
		if slices.Contains(keys, key) {
			return t, true
		}
	}
	return "", false
}

// restricts says whether o has a keyword that is more than a description.
func (o *object) restricts() bool {
	return slices.ContainsFunc(o.keys, func(k string) bool { return !isDescription(k) })
}

func isDescription(key string) bool {
	return slices.Contains(describes, key) || strings.HasPrefix(key, "x-")
}

// check refuses keywords that are not kept.
func (b *builder) check(o *object, path string) bool {
	for _, k := range o.keys {
		_, known := aboutType(k)
		switch {
		case known || isDescription(k):
		case slices.Contains(unsupported, k):
			b.fail(path, k, "this keyword is not supported; take it out, or check for it after the generation")
			return false
		default:
			b.fail(path, k, "this is no keyword of JSON schema; is it misspelt? Names of your own begin with x-")
			return false
		}
	}
	return true
}
