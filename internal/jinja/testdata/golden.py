"""Renders templates with jinja2, as transformers does, for jinja_test.go.

    pip install jinja2==3.1.6
    python golden.py                 rewrites golden.json.gz and snippets.jsonl
    python golden.py FOLDER OUT.gz   the same cases with other templates

golden.json.gz holds the cases (variables of a chat) and what every template
of templates/ makes of them. snippets.jsonl holds one small template a line
and what it makes of the variables in the first line: a string, or the name
of the error.
"""

import datetime
import gzip
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2024, 2, 29, 7, 5, 9, 123456)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("body"), [], [], body).set_lineno(line)

    def body(self, caller):
        return caller()


class Raised(jinja2.exceptions.TemplateError):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for name in attrs:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


ENV = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals.update(
    raise_exception=raise_exception,
    strftime_now=lambda format: NOW.strftime(format),
    dict=Dict(),
    namespace=Namespace,
)


def render(source, variables):
    """The output, or {"error": kind, "message": …}; kind is syntax, raise or the name of Python's."""
    try:
        template = ENV.from_string(source)
    except (jinja2.TemplateSyntaxError, SyntaxError) as e:
        return {"error": "syntax", "message": str(e)}
    try:
        return template.render(**variables)
    except Raised as e:
        return {"error": "raise", "message": str(e)}
    except Exception as e:
        return {"error": type(e).__name__, "message": str(e)}


def tool(name, description, properties, required, **more):
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters, **more}}


TOOLS = [
    tool(
        "get_weather",
        "The weather \"now\" at a <place> – über all",
        {
            "place": {"type": "string", "description": "City, e.g. 東京"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius", "description": "Unit"},
            "days": {"type": "array", "items": {"type": "integer"}, "description": "Days"},
        },
        ["place"],
    ),
    tool(
        "act",
        "Does it",
        {
            "options": {"type": "object", "properties": {"deep": {"type": "boolean", "description": "d"}}, "description": "o"},
            "level": {"type": ["string", "null"], "description": "l"},
            "amount": {"type": "number", "default": 1.5, "description": "a"},
        },
        [],
        **{"return": {"type": "string", "description": "what came of it"}},
    ),
]


def call(i, name, arguments):
    return {"id": f"call{i:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}


def message(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM = message("system", "  You are terse.\n")
USER = message("user", "What is 2+2?\n  <b>'quoted'</b> ")
ANSWER = message("assistant", "<think>\nadd\n</think>\n\n 4 ")
CHAT = [USER, ANSWER, message("user", "And 3+3?")]
ONE = [USER, message("assistant", None, tool_calls=[call(1, "get_weather", {"place": "Köln", "days": [1, 2]})]), message("tool", '{"temp": 3}', tool_call_id="call00001", name="get_weather")]
EMPTY = [USER, message("assistant", "", tool_calls=[call(1, "get_weather", {"place": "Köln"})]), message("tool", "3", tool_call_id="call00001", name="get_weather")]
PARTS = [message("user", [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "what is it?"}])]

CASES = {
    "user": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "developer": {"messages": [message("developer", "Be brief."), USER]},
    "chat": {"messages": CHAT},
    "system and chat": {"messages": [SYSTEM, *CHAT]},
    "long chat": {"messages": [SYSTEM, *CHAT, ANSWER, *CHAT, ANSWER, message("user", "")]},
    "no generation prompt": {"messages": [SYSTEM, *CHAT, ANSWER], "add_generation_prompt": False},
    "ends with assistant": {"messages": [USER, message("assistant", "The answer is")], "add_generation_prompt": False},
    "generation prompt absent": {"messages": [USER], "add_generation_prompt": ...},
    "thinking on": {"messages": CHAT, "enable_thinking": True, "thinking": True},
    "thinking off": {"messages": CHAT, "enable_thinking": False, "thinking": False, "reasoning_effort": "low"},
    "reasoning": {"messages": [USER, message("assistant", "4", reasoning_content="add\n", thinking="add\n"), message("user", "why?")]},
    "reasoning last": {"messages": [USER, message("assistant", "4", reasoning_content="add", thinking="add")], "add_generation_prompt": False},
    "tools": {"messages": [USER], "tools": TOOLS},
    "tools and system": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "tools not in user message": {"messages": [SYSTEM, USER], "tools": TOOLS, "tools_in_user_message": False, "date_string": "1 Jan 2025"},
    "builtin tools": {"messages": [USER], "tools": TOOLS[:1], "builtin_tools": ["browser", "python", "code_interpreter", "get_weather"]},
    "no tools": {"messages": [USER], "tools": []},
    "tool call": {"messages": ONE, "tools": TOOLS},
    "tool call and answer": {"messages": [SYSTEM, *ONE, message("assistant", "3 degrees"), message("user", "thanks")], "tools": TOOLS},
    "tool call with empty content": {"messages": [*EMPTY, message("assistant", "3 degrees")], "tools": TOOLS},
    "tool call with content": {"messages": [USER, message("assistant", "let me see", tool_calls=[call(1, "act", {})]), message("tool", "ok", tool_call_id="call00001")], "tools": TOOLS},
    "tool call with text arguments": {"messages": [USER, message("assistant", "", tool_calls=[call(1, "act", '{"a": 1}')])], "tools": TOOLS},
    "tool calls": {"messages": [USER, message("assistant", "", tool_calls=[call(1, "get_weather", {"place": "A"}), call(2, "act", {"level": None, "amount": 2.0})]), message("tool", "1", tool_call_id="call00001"), message("tool", "2", tool_call_id="call00002")], "tools": TOOLS},
    "tool call with short id": {"messages": [USER, message("assistant", "", tool_calls=[{"id": "x", "type": "function", "function": {"name": "act", "arguments": {}}}])], "tools": TOOLS},
    "tool call without tools": {"messages": ONE},
    "tool result that is a mapping": {"messages": [*EMPTY[:2], message("tool", {"temp": 3, "content": "x"}, tool_call_id="call00001", name="get_weather")], "tools": TOOLS},
    "tool first": {"messages": [message("tool", "3")], "tools": TOOLS},
    "content parts": {"messages": PARTS},
    "content parts and system": {"messages": [message("system", [{"type": "text", "text": "Be brief."}]), *PARTS]},
    "two users": {"messages": [USER, USER]},
    "assistant first": {"messages": [ANSWER, USER]},
    "system last": {"messages": [USER, SYSTEM]},
    "unknown role": {"messages": [USER, message("ghost", "boo")]},
    "no role": {"messages": [{"content": "boo"}]},
    "no content": {"messages": [{"role": "user"}]},
    "content is null": {"messages": [message("user", None)]},
    "content is a number": {"messages": [message("user", 7)]},
    "no messages": {"messages": []},
    "messages absent": {},
    "documents": {"messages": [USER], "documents": [{"title": "T", "text": "one"}, {"title": "U", "text": "two"}], "citation_mode": "fast"},
    "other names": {"messages": CHAT, "custom_tools": TOOLS, "model_identity": "I am.", "eos_token": "<end>", "xml_tools": TOOLS, "python_tools": TOOLS},
    "tags in content": {"messages": [message("user", "{{ 1 }}{% if %} <|im_end|>"), message("assistant", "<|channel|>analysis<|message|>x")]},
    "tool responses of users": {"messages": [USER, message("assistant", "a"), message("user", "<tool_response>\n1\n</tool_response>"), message("assistant", "<think>b</think>c")]},
}
DEFAULTS = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None}


def variables(case):
    return {k: v for k, v in {**DEFAULTS, **case}.items() if v is not ...}


def golden(folder, out):
    cases = {name: variables(case) for name, case in CASES.items()}
    results = {}
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text()
        results[path.stem] = {name: render(source, case) for name, case in cases.items()}
    data = json.dumps({"cases": cases, "results": results}, ensure_ascii=False, separators=(",", ":"))
    with open(out, "wb") as f, gzip.GzipFile("", "wb", 9, f, 0) as z:
        z.write(data.encode())
    errors = sum(isinstance(r, dict) for t in results.values() for r in t.values())
    print(f"{out}: {len(results)} templates, {len(cases)} cases, {errors} errors")


def snippets(path):
    lines = path.read_text().splitlines()
    given = json.loads(lines[0])["vars"]
    out = [lines[0]]
    for line in lines[1:]:
        if line.startswith("["):
            source = json.loads(line)[0]
            want = render(source, given)
            if isinstance(want, dict):
                want = {"error": want["error"]} if want["error"] != "raise" else want
            line = json.dumps([source, want], ensure_ascii=False)
        out.append(line)
    path.write_text("\n".join(out) + "\n")


if len(sys.argv) == 3:
    golden(pathlib.Path(sys.argv[1]), sys.argv[2])
else:
    golden(HERE / "templates", HERE / "golden.json.gz")
    snippets(HERE / "snippets.jsonl")
