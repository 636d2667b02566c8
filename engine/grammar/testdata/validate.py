"""Reads lines of [schema, text] and writes for each what is wrong with the text, or an empty line: what the standard
library's parser of JSON and the package jsonschema, with its checks of formats, say."""

import json
import sys

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

validators = {}
for line in sys.stdin:
    schema, text = json.loads(line)
    if schema not in validators:
        s = json.loads(schema)
        kind = validator_for(s, default=Draft202012Validator)
        kind.check_schema(s)
        validators[schema] = kind(s, format_checker=kind.FORMAT_CHECKER)
    try:
        value = json.loads(text)
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()  # no half of a surrogate pair
        errors = [e.message for e in validators[schema].iter_errors(value)]
    except ValueError as e:
        errors = [str(e)]
    print(" ".join("; ".join(errors).split()))
