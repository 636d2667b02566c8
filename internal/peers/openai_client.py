"""OpenAI's client for Python, unchanged, against servers of llcuda.

openai_client.py KEY URL…: the first serves the demo, which has no chat
template; others have models for chats.
"""

import asyncio
import json
import math
import sys

import openai
from pydantic import BaseModel

key, *urls = sys.argv[1:]


def connect(url):
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=120)
    return client, client.models.list().data[0].id


def refused(kind, f, **want):
    try:
        f()
    except kind as e:
        for name, value in want.items():
            assert getattr(e, name) == value, (name, getattr(e, name), value)
        return
    raise AssertionError(f"no {kind.__name__}")


def completions(client, model):
    ask = dict(model=model, prompt="Once upon a time", temperature=0, max_tokens=12)
    whole = client.completions.create(**ask)
    assert whole.usage.completion_tokens == 12 and whole.choices[0].finish_reason == "length", whole
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage, (chunks[-1].usage, whole.usage)
    text = whole.choices[0].text
    stop = text[len(text) // 2 :][:3]
    cut = client.completions.create(**ask, stop=stop).choices[0]
    assert cut.text == text[: text.index(stop)] and cut.finish_reason == "stop", (cut, stop)
    several = client.completions.create(**{**ask, "prompt": ["Once upon a time", "The dog"], "n": 2})
    assert [c.index for c in several.choices] == [0, 1, 2, 3] and several.choices[0].text == text, several


def chat(client, model):
    ask = dict(model=model, messages=[{"role": "user", "content": "What is AI?"}], temperature=0, max_tokens=12)
    whole = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3)
    message = whole.choices[0].message
    assert message.role == "assistant" and message.content and whole.usage.completion_tokens <= 12, whole
    for token in whole.choices[0].logprobs.content:
        assert len(token.top_logprobs) == 3 and token.logprob == max(t.logprob for t in token.top_logprobs), token
        assert sum(math.exp(t.logprob) for t in token.top_logprobs) <= 1 + 1e-5, token
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len(client.chat.completions.create(**{**ask, "n": 3, "temperature": 1, "seed": 7}).choices) == 3
    async def later():
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=key, max_retries=0) as c:
            return await asyncio.gather(*(c.chat.completions.create(**ask) for _ in range(4)))
    assert all(a.choices[0].message.content for a in asyncio.run(later()))


class Answer(BaseModel):
    good: bool


def schema(client, model):
    ask = dict(model=model, messages=[{"role": "user", "content": "Is it good?"}], max_tokens=60, temperature=0)
    got = client.chat.completions.parse(**ask, response_format=Answer)
    assert isinstance(got.choices[0].message.parsed, Answer), got


def tools(client, model):
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}}}
    ask = dict(model=model, messages=[{"role": "user", "content": "How is the weather in Paris?"}], tools=[tool], max_tokens=60, temperature=0)
    got = client.chat.completions.create(**ask, tool_choice="required").choices[0]
    call = got.message.tool_calls[0]
    assert got.finish_reason == "tool_calls" and call.function.name == "weather", got
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome"), got
    with client.chat.completions.stream(**ask, tool_choice="required") as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert [c.function.arguments for c in streamed] == [call.function.arguments], (streamed, call)
    ask["messages"] += [got.message, {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}]
    assert client.chat.completions.create(**ask, tool_choice="none").choices[0].message.content


def responses(client, model):
    ask = dict(model=model, input="Say hi.", instructions="You are terse.", temperature=0, max_output_tokens=20)
    whole = client.responses.create(**ask)
    assert whole.output_text and whole.usage.output_tokens <= 20, whole
    with client.responses.stream(**ask) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
    assert text == whole.output_text, (text, whole.output_text)
    got = client.responses.parse(model=model, input="Is it good?", text_format=Answer, max_output_tokens=60)
    assert isinstance(got.output_parsed, Answer), got


def embeddings(client, model):
    texts = ["a dog", "a cat"]
    packed = client.embeddings.create(model=model, input=texts)  # asks for base64
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    for a, b in zip(packed.data, plain.data, strict=True):
        assert max(abs(x - y) for x, y in zip(a.embedding, b.embedding, strict=True)) < 1e-6
        assert abs(math.fsum(x * x for x in a.embedding) - 1) < 1e-4


def errors(client, model):
    ask = dict(model=model, prompt="x", max_tokens=1)
    refused(openai.NotFoundError, lambda: client.completions.create(**{**ask, "model": "nope"}), code="model_not_found")
    refused(openai.NotFoundError, lambda: client.models.retrieve("nope"), code="model_not_found")
    refused(openai.BadRequestError, lambda: client.completions.create(**ask, temperature=-1), param="temperature")
    wrong = client.with_options(api_key="wrong")
    refused(openai.AuthenticationError, lambda: wrong.completions.create(**ask), code="invalid_api_key")


def cancel(client, model):
    """More streams are left than the server has places; it goes on."""
    for _ in range(8):
        with client.completions.create(model=model, prompt="Once", max_tokens=200, stream=True) as stream:
            next(iter(stream))
    assert client.completions.create(model=model, prompt="Once", max_tokens=1).choices


demo, *chats = urls
client, model = connect(demo)
for check in completions, chat, schema, embeddings, errors, cancel:
    check(client, model)
for url in chats:
    client, model = connect(url)
    assert client.models.retrieve(model).owned_by == "llcuda"
    for check in chat, schema, tools, responses:
        check(client, model)
print(f"openai {openai.__version__}: {len(urls)} servers")
